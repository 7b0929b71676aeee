"""Receipts: who was erased, by ids and times, and what of them is gone; the latest first."""

from collections.abc import Mapping

from flask import render_template
from flask.typing import ResponseReturnValue

from services import receipts
from services.catalog.erasing import erasures as rows
from services.catalog.tables.privacy import Erasure
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import collection, page
from services.gateway.doors import collection_of, gateway
from services.receipts import Place

_AT_ONCE = 100


@page("/erasures", "read")
def erasures() -> ResponseReturnValue:
    """What was erased last in a collection."""
    with gateway().catalog.reading() as session:
        found = rows.page(session, collection_of(session, collection()).id, limit=_AT_ONCE)
    return render_template("erasures.html", receipts=[told(row) for row in found], at_once=_AT_ONCE)


def told(row: Erasure) -> dict[str, object]:
    """A receipt, for the template."""
    words = _words()
    lines = [(words[line.what], line) for line in receipts.lines(row)]
    return {"row": row, "lines": lines, "left": sum(line.gone_at is None for _word, line in lines)}


def hours() -> int:
    """Within how many hours every copy is gone, rounded up."""
    return max(1, -int(-gateway().erase_within_s // 3600))


def _words() -> Mapping[Place, str]:
    """By place, what somebody was there as."""
    return {
        "rows": _("name, faces and what they are recognised by, in the catalog"),
        "search": _("whatever a search could find"),
        "traces": _("names of files, answers that were kept, reports"),
        "objects": _("photos and their cut-outs in the photo store"),
        "indexes": _("the searchers' files"),
        "snapshots": _("snapshots of the index in the photo store"),
        "store": _("deleted bytes in the photo store's files"),
        "catalog": _("deleted rows in the catalog's files"),
        "ledger": _("a note outside the catalog, so that a restore repeats it"),
    }
