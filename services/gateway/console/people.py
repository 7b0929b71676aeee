"""People: all of them, one of them, and what would be erased with them."""

from typing import Any, cast, get_args

from flask import make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from services import moments
from services.catalog import listing
from services.catalog.erasing import erasures, retention
from services.catalog.listing import Sort
from services.catalog.people import LONGEST_NAME, by_public_id, erasure, faces_of, row_of
from services.catalog.privacy import consents
from services.catalog.reviewing import merges
from services.errors import NotFound
from services.gateway.console import erasures as receipts
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import collection, failure, page, wants_page
from services.gateway.doors import collection_of, gateway
from services.gateway.paging import cursor_of
from services.gateway.people import place_in_list, version_of

AT_ONCE = 60
"""People, or faces of a person, that a page shows before more are asked for."""
_MERGES = 20


@page("/people", "read")
def people() -> ResponseReturnValue:
    """Everybody, as searched for and sorted; as a fragment where a script asks: all anew, or what follows."""
    query = " ".join(request.args.get("query", "")[:LONGEST_NAME].split())
    asked = request.args.get("sort", "name")
    sort = cast("Sort", asked) if asked in get_args(Sort) else "name"
    cursor = request.args.get("cursor")
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, collection()).id
        after = place_in_list(cursor, sort)
        rows = listing.page(session, collection_id, query=query, sort=sort, limit=AT_ONCE + 1, after=after)
        found = None if cursor else listing.count(session, collection_id, query)
    here: dict[str, Any] = {
        name: value for name, value in (("query", query), ("sort", "" if sort == "name" else sort)) if value
    }
    more = None
    if len(rows) > AT_ONCE:
        place = [sort, *listing.place_of(rows[AT_ONCE - 1], sort)]
        more = url_for("console.people", **here, cursor=cursor_of(place))
    shown = {"rows": rows[:AT_ONCE], "more": more, "found": found, "query": query, "sort": sort, "cursor": cursor}
    if wants_page():
        return render_template("people.html", **shown, lists="people.html")
    response = make_response(render_template("_people.html", **shown))
    if cursor is None:
        response.headers["HX-Replace-Url"] = url_for("console.people", **here)
    return response


@page("/people/<person_id>", "read")
def person(person_id: str) -> ResponseReturnValue:
    """One person with their photos; as a fragment where a script asks."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, collection()).id
        try:
            one = by_public_id(session, collection_id, person_id)
        except NotFound:
            return _gone(session, collection_id, person_id)
        row, found = row_of(session, one), faces_of(session, one)
        consent, ends_at = consents.latest(session, one), retention.ends_at(collection_of(session, collection()), one)
        merged = [each for each in merges.page(session, collection_id, into=one, limit=_MERGES) if each.merge.person]
    start = max(request.args.get("from", 0, int), 0)
    pictures = [{"face": face, "photo": photo} for face, photo in found[::-1]]
    after = start + AT_ONCE
    shown = {
        "row": row,
        "person": one,
        "version": version_of(one),
        "pictures": pictures[start:after],
        "start": start,
        "more": after if after < len(pictures) else None,
        "merged": merged,
        "consent": consent,
        "ends_at": ends_at,
        "last_day": None if one.expires_at is None else moments.last_day(one.expires_at),
        "kept_days": round(merges.UNDONE_WITHIN_S / 86_400),
    }
    if wants_page():
        return render_template("person.html", **shown)
    return render_template("_pictures.html" if start else "_person.html", **shown)


@page("/people/<person_id>/erasure", "manage")
def person_erasure(person_id: str) -> ResponseReturnValue:
    """What erasing a person would erase, as a fragment."""
    with gateway().catalog.reading() as session:
        one = by_public_id(session, collection_of(session, collection()).id, person_id)
        counts = erasure(session, one)
        swallowed = merges.page(session, one.collection_id, into=one, limit=_MERGES)
    names = [each.merge.person["name"] for each in swallowed if each.merge.person]
    return render_template("_erasure.html", person=one, counts=counts, swallowed=names, hours=receipts.hours())


def _gone(session: Session, collection_id: int, person_id: str) -> ResponseReturnValue:
    """Nobody of that id is here: they were erased, or merged into somebody who is."""
    remained = merges.remained_of(session, collection_id, person_id)
    if not wants_page():
        raise NotFound("person", person_id)
    erased = erasures.page(session, collection_id, person=person_id, limit=1) if remained is None else []
    if erased:
        shown = {"title": _("This person was erased"), "receipt": receipts.told(erased[0])}
        return render_template("person_erased.html", **shown), 404
    if remained is None:
        return failure(
            404, _("Nobody is here"), _("This person was erased, or the address is wrong. Look for them under People.")
        )
    title = _("This person was merged into another")
    return render_template("person_merged.html", title=title, remained=remained), 404
