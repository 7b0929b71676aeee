"""Audit: who did what, for those who may see it; and a button that looks whether what is written of it is whole."""

from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from services import moments
from services.catalog.auditing import reading as audit_read
from services.errors import InvalidRequest
from services.gateway.auditing import audit as audit_answers
from services.gateway.console.pages import page
from services.gateway.doors import gateway, key
from services.gateway.paging import cursor_of

_ROWS = 50
_FIELDS = ("action", "person", "key", "since", "until")


@page("/audit", "admin")
def audit() -> ResponseReturnValue:
    """The latest entries, or those that are asked for; a key that is limited to collections sees what was done in these."""
    asked = {name: request.args.get(name, "").replace("\0", "").strip()[:64] for name in _FIELDS}
    gateway().auditor.flush()
    with gateway().catalog.reading() as session:
        after = audit_answers.place_of_cursor(request.args.get("cursor"))
        rows = audit_read.page(session, _wanted(asked), limit=_ROWS + 1, after=after)
    older = cursor_of(audit_read.place_of(rows[_ROWS - 1])) if len(rows) > _ROWS else None
    carried: dict[str, Any] = {name: value for name, value in asked.items() if value}
    return render_template(
        "audit.html",
        asked=asked,
        rows=[audit_answers.told(row) for row in rows[:_ROWS]],
        older=None if older is None else url_for("console.audit", **carried, cursor=older),
        is_first="cursor" not in request.args,
        may_verify=key().collections is None,
    )


def _wanted(asked: dict[str, str]) -> audit_read.Wanted:
    """What is asked for; a day that is none counts as not given."""
    return audit_read.Wanted(
        collections=key().collections,
        action=asked["action"] or None,
        person=asked["person"] or None,
        key=asked["key"] or None,
        since=_day(moments.begin, asked, "since"),
        until=_day(moments.end, asked, "until"),
    )


def _day(read: Any, asked: dict[str, str], name: str) -> float | None:  # noqa: ANN401 - a function of moments
    try:
        seconds: float | None = read(asked[name], name) if asked[name] else None
    except InvalidRequest:
        asked[name] = ""
        return None
    return seconds
