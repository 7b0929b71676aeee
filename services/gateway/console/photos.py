"""A photo, with everybody in it."""

from flask import render_template
from flask.typing import ResponseReturnValue

from services.catalog import people
from services.catalog.photos import by_public_id, faces_of
from services.errors import NotFound
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import collection, failure, page, wants_page
from services.gateway.doors import collection_of, gateway


@page("/photos/<photo_id>", "read")
def photo(photo_id: str) -> ResponseReturnValue:
    """One photo with all its faces; as a fragment where a script asks."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, collection()).id
        try:
            one = by_public_id(session, collection_id, photo_id)
        except NotFound:
            if not wants_page():
                raise
            return failure(
                404, _("This photo is not here"), _("It was deleted, or the address is wrong. Look for its people.")
            )
        found = faces_of(session, one)
        named = people.named(session, [face.person_id for face in found if face.person_id is not None])
    faces = [{"face": face, "person": named.get(face.person_id or 0)} for face in found]
    return render_template("photo.html" if wants_page() else "_photo.html", photo=one, faces=faces)
