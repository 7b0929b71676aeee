"""Import: many photos at once. A folder, an archive or photos are dropped; what becomes of each is followed, and stays to be looked at."""

from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from services.catalog.importing import jobs
from services.errors import ColegaError, NotFound
from services.gateway.answers import job_out
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import collection, failure, page, wants_page
from services.gateway.doors import collection_of, gateway
from services.gateway.guarding.auth import may
from services.gateway.importing.job_answers import whole_job_out
from services.gateway.paging import cursor_of, number_after

KINDS = ("import", "upload")
_RECENT = 20


@page("/import", "enrol")
def imports() -> ResponseReturnValue:
    """Where one drops what is to be imported, and the imports of late."""
    return render_template("imports.html", job=None, limits=gateway().limits, **_recent(None))


@page("/import/<job_id>", "enrol or read")
def import_job(job_id: str) -> ResponseReturnValue:
    """One import, wherever it stands. The page follows it over ``/v1``; what it shows is the service's, not the browser's."""
    with gateway().catalog.reading() as session:
        try:
            job = jobs.by_public_id(session, collection_of(session, collection()).id, job_id)
        except NotFound:
            if not wants_page():
                raise
            return failure(
                404, _("This import is not here"), _("The address is wrong, or it belongs to another collection.")
            )
        told = whole_job_out(session, job, jobs.progress(session, job))
    if job.kind not in KINDS:
        return failure(404, _("This is no import"), _("The page Status shows jobs of other kinds."))
    upload = {"archive": job.archive, "faces": job.faces}
    return render_template("imports.html", job={**told, **upload}, limits=gateway().limits, recent=[], older=None)


@page("/import/recent/<cursor>", "read")
def recent_imports(cursor: str) -> ResponseReturnValue:
    """More of the imports of late, as rows of the list."""
    return render_template("_recent_imports.html", **_recent(number_after(cursor)))


def _recent(before: int | None) -> dict[str, Any]:
    """Imports, newest first, and the cursor of older ones."""
    if not may("read"):
        return {"recent": [], "older": None}
    with gateway().catalog.reading() as session:
        try:
            collection_id = collection_of(session, collection()).id
        except ColegaError:
            return {"recent": [], "older": None}
        found = jobs.page(session, collection_id, limit=_RECENT + 1, before=before, kinds=KINDS)
        recent = [job_out(job, jobs.progress(session, job)) for job in found[:_RECENT]]
    return {"recent": recent, "older": cursor_of(found[_RECENT - 1].id) if len(found) > _RECENT else None}
