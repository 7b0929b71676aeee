"""Erasures: receipts for what was deleted for good, which say what is gone and what will be by when."""

from typing import Any, Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import receipts
from services.catalog.erasing import erasures
from services.catalog.erasing.ledger import Asking, Cause
from services.catalog.tables.privacy import Erasure
from services.gateway.answers import Changed, time_of
from services.gateway.doors import InCollection, Page, Resource, collection_of, gateway, key
from services.gateway.paging import number_after, page_of
from services.receipts import Place

resource = Resource("erasures", "Receipts for what was deleted for good")


class ErasurePath(BaseModel):
    """Which erasure."""

    erasure_id: str = Field(max_length=64)


class ErasuresPage(Page):
    """Which erasures."""

    state: Literal["open", "closed", "all"] = Field(default="all", description="Open: something may be left somewhere.")
    person_id: str | None = Field(default=None, max_length=64, description="Only that of this person.")


class Erased(InCollection):
    """In which collection, and whether somebody waits."""

    now: bool = Field(
        default=False, description="Have all of it done now, and not within the time that the settings give."
    )


class GoneOut(BaseModel):
    """A place where nothing is left."""

    what: Place
    about: str
    at: str


class LeftOut(BaseModel):
    """A place where something may be left."""

    what: Place
    about: str
    by: str = Field(description="By when nothing is left there.")
    why: str | None = Field(description="What was in the way when it was last looked; null: it is not its turn yet.")


class ErasureOut(BaseModel):
    """The receipt for an erasure. It knows ids and times, and nothing of whom they stood for."""

    id: str
    person: str | None = Field(description="Null: photos or faces alone were deleted.")
    cause: Cause
    asked_by: str | None
    asked_at: str
    sequence: int
    faces: int
    photos: int
    gone: list[GoneOut]
    left: list[LeftOut]
    due_at: str
    urgent: bool
    looked_at: str | None
    closed_at: str | None = Field(description="When a look at every place found nothing.")


class ErasedOut(Changed):
    """Something was deleted for good."""

    erasure: ErasureOut


class ErasuresOut(BaseModel):
    """Erasures, the latest first."""

    items: list[ErasureOut]
    next_cursor: str | None


@resource.door("get", "/erasures", "read", responses={200: ErasuresOut})
def index(query: ErasuresPage) -> ResponseReturnValue:
    """Erasures, the latest first."""
    is_open = None if query.state == "all" else query.state == "open"
    before = number_after(query.cursor) or None
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        rows = erasures.page(
            session, collection_id, is_open=is_open, person=query.person_id, limit=query.limit + 1, before=before
        )
    return page_of([(told(row), row.id) for row in rows[: query.limit]], more=len(rows) > query.limit)


@resource.door("get", "/erasures/<erasure_id>", "read", responses={200: ErasureOut})
def show(path: ErasurePath, query: InCollection) -> ResponseReturnValue:
    """The receipt for one erasure."""
    with gateway().catalog.reading() as session:
        return told(erasures.by_public_id(session, collection_of(session, query.collection).id, path.erasure_id))


@resource.door("post", "/erasures/<erasure_id>/hasten", "manage", responses={200: ErasureOut})
def hasten(path: ErasurePath, query: InCollection) -> ResponseReturnValue:
    """Have all that is left of it done now."""
    with gateway().catalog.transaction() as session:
        row = erasures.by_public_id(session, collection_of(session, query.collection).id, path.erasure_id)
        erasures.hasten(session, row)
        answer = told(row)
    gateway().waking.wake()
    return answer


def asking(cause: Cause = "asked", *, urgent: bool = False) -> Asking:
    """That the key of this request asks for something to be deleted for good."""
    return Asking(cause, by=key().public_id, within_s=gateway().erase_within_s, urgent=urgent)


def told(row: Erasure) -> dict[str, Any]:
    """See :class:`ErasureOut`."""
    found = receipts.lines(row)
    return {
        "id": row.public_id,
        "person": row.person,
        "cause": row.cause,
        "asked_by": row.asked_by,
        "asked_at": time_of(row.asked_at),
        "sequence": row.sequence,
        "faces": len(row.faces),
        "photos": len(row.photos),
        "gone": [
            {"what": each.what, "about": receipts.SENTENCES[each.what], "at": time_of(each.gone_at)}
            for each in found
            if each.gone_at is not None
        ],
        "left": [
            {
                "what": each.what,
                "about": receipts.SENTENCES[each.what],
                "by": time_of(row.due_at),
                "why": each.left or None,
            }
            for each in found
            if each.gone_at is None
        ],
        "due_at": time_of(row.due_at),
        "urgent": row.urgent,
        "looked_at": time_of(row.looked_at),
        "closed_at": time_of(row.closed_at),
    }


def erased(row: Erasure) -> dict[str, Any]:
    """See :class:`ErasedOut`."""
    return {"sequence": row.sequence, "erasure": told(row)}
