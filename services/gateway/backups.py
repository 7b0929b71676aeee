"""Backups: begun by request, written by the training worker where its settings say."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import collections, computations
from services.catalog.dumps import backups
from services.gateway import answers
from services.gateway.answers import time_of
from services.gateway.doors import MayBeLeftOut, Page, Resource, gateway
from services.gateway.guarding.auth import require_unlimited
from services.gateway.modelling.computing import begin
from services.gateway.paging import number_after, page_of

resource = Resource("backups", "Copies of all there is, elsewhere")


class BackupIn(MayBeLeftOut):
    """Where a backup goes."""

    destination: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="A name below COLEGA_BACKUP_FOLDER; else that place itself.",
    )
    keep: int | None = Field(
        default=None, ge=0, le=10**6, description="How many backups stay there; 0: all. Else COLEGA_BACKUP_KEEP."
    )


class BackupOut(BaseModel):
    """A backup that is complete."""

    id: str = Field(description="Its name: `colega restore --at`.")
    job: str | None
    destination: str
    figures: dict[str, Any] = Field(
        description="Objects and bytes, how many were new, missing or gone meanwhile, and the seconds."
    )
    began_at: str = Field(description="What was written until then is in it.")
    finished_at: str


class BackupPage(BaseModel):
    """Backups, newest first."""

    items: list[BackupOut]
    next_cursor: str | None


@resource.door("post", "/backups", "admin", responses={202: answers.JobRef})
def create(body: BackupIn) -> ResponseReturnValue:
    """Back everything up: catalog and photo store, as they are now, while the service runs. Only what is new is copied."""
    require_unlimited()
    return begin(computations.BACKUP, collections.DEFAULT, body.model_dump(exclude_none=True))


@resource.door("get", "/backups", "admin", responses={200: BackupPage})
def index(query: Page) -> ResponseReturnValue:
    """Backups that were completed, those of `colega backup DEST` among them, newest first."""
    require_unlimited()
    with gateway().catalog.reading() as session:
        found = backups.page(session, limit=query.limit + 1, before=number_after(query.cursor) or None)
        rows = [
            (
                {
                    "id": row.public_id,
                    "job": job,
                    "destination": row.destination,
                    "figures": row.figures,
                    "began_at": time_of(row.began_at),
                    "finished_at": time_of(row.finished_at),
                },
                row.id,
            )
            for row, job in found[: query.limit]
        ]
    return page_of(rows, more=len(found) > query.limit)
