"""Exporting: everything held about a person, as a zip that is made while it is sent."""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, Literal

from flask import Response
from flask.typing import ResponseReturnValue
from pydantic import Field

from services.catalog import people
from services.catalog.privacy import about
from services.catalog.schema import Person, Photo
from services.errors import DamagedObject, MissingObject
from services.gateway.doors import Gateway, InCollection, Resource, collection_of, gateway
from services.gateway.people import PersonPath

README = """Everything that this installation of colega holds about one person.

person.json        name, external id, attributes, when they are erased; basis, notice and retention of their collection; consents
photos/            the photos that show them or are said to, as they were sent; photos.jsonl says what is known of each
thumbnails/        the same, small
faces/             each face: where it is, how good it is, and its embeddings as numbers, by model (.json)
chips/             each face's surroundings, as models see them
items.jsonl        the imports and uploads that the photos came with
files.jsonl        the files of sources that the collection is kept in step with
merges.jsonl       people who were found to be this one
not_same.jsonl     where somebody said that a face or a person is not this one
deliveries.jsonl   webhooks that were told of them
findings.jsonl     faces that a change of model could not simply carry over
log.jsonl          when their faces came into the index, and changed
audit.jsonl        what was done with them, by which key, and when
missing.json       objects that should be there and are not, or are damaged

Times are seconds since 1970 in UTC.

Not in here: backups made before, which are as their retention says; query photos, which are never kept; what a searcher
holds, which is the embeddings again; logs, which have ids and no names.

{others}
"""
_WITH_OTHERS = """Some photos may show other people, too. They have rights of their own (GDPR, article 15(4)): look through photos/ before
handing this over. `?others=left_out` leaves such photos out; the person's own faces are then in chips/."""
_WITHOUT_OTHERS = "Photos that show anybody else are left out; the person's own faces are in chips/."

resource = Resource("exporting", "What is held about somebody")


class Export(InCollection):
    """What the export has."""

    others: Literal["included", "left_out"] = Field(
        default="included", description="Whether photos that show anybody else, too, are in it."
    )


@resource.door("get", "/people/<person_id>/export", "manage")
def export(path: PersonPath, query: Export) -> ResponseReturnValue:
    """Everything held about a person, as a zip: rows as JSON, embeddings as numbers, the original photos, chips; a README says what.

    Photos may show others: `others=left_out` leaves those out.
    """
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        known = about.person(session, person)
    content = _zip(gateway(), person, known, with_others=query.others == "included")
    response = Response(content, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{person.public_id}.zip"'
    return response


def _zip(mine: Gateway, person: Person, known: dict[str, Any], *, with_others: bool) -> Iterator[bytes]:
    """A zip made as it is sent: one photo at a time in memory."""
    out, missing = _Pipe(), list[str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README.format(others=_WITH_OTHERS if with_others else _WITHOUT_OTHERS))
        archive.writestr("person.json", _document(known))
        yield out.taken()
        for photo, shows_others in about.photos(mine.catalog, person.id):
            if shows_others and not with_others:
                continue
            _put(mine, archive, f"photos/{photo.public_id}.{photo.format}", photo.object_key, missing)
            yield out.taken()
            _put(mine, archive, f"thumbnails/{photo.public_id}.jpg", photo.thumbnail_key, missing)
            yield out.taken()
        chips: set[str] = set()
        for name, face, chip in about.faces(mine.catalog, person.id):
            archive.writestr(f"faces/{name}.json", _document(face))
            if chip is not None and chip not in chips:
                chips.add(chip)
                _put(mine, archive, f"chips/{face['id']}.jpg", chip, missing)
            yield out.taken()
        told = (_of_photo(photo) for photo, _ in about.photos(mine.catalog, person.id))
        for name, rows in {"photos": told, **about.lists(mine.catalog, person)}.items():
            with archive.open(f"{name}.jsonl", "w") as lines:
                for row in rows:
                    lines.write(_line(row))
                    if out.is_full:
                        yield out.taken()
            yield out.taken()
        archive.writestr("missing.json", _document(missing))
    yield out.taken()


def _of_photo(photo: Photo) -> dict[str, Any]:
    fields = ("sha256", "size_bytes", "format", "source_name", "state", "reason", "width_px", "height_px", "created_at")
    return {"id": photo.public_id} | {field: getattr(photo, field) for field in fields}


def _put(mine: Gateway, archive: zipfile.ZipFile, name: str, key: str | None, missing: list[str]) -> None:
    if key is None:
        return
    try:
        data = mine.store.get(key)
    except (MissingObject, DamagedObject):
        missing.append(name)
        return
    archive.writestr(zipfile.ZipInfo(name), data)  # Stored: a JPEG does not get smaller.


def _document(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, indent=1, default=_numbers)


def _line(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, default=_numbers).encode() + b"\n"


def _numbers(vector: object) -> list[float]:
    """A float16 vector as numbers; nothing else is bytes."""
    assert isinstance(vector, bytes)
    return [round(number, 6) for number in struct.unpack(f"<{len(vector) // 2}e", vector)]


class _Pipe(io.RawIOBase):
    """What is written, until it is taken. Not seekable, so zipfile writes straight on."""

    _FULL_BYTES = 2**20

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._held += data
        return len(data)

    @property
    def is_full(self) -> bool:
        """Whether it is time to take what is held."""
        return len(self._held) >= self._FULL_BYTES

    def taken(self) -> bytes:
        """All that was written since the last time."""
        held, self._held = bytes(self._held), bytearray()
        return held
