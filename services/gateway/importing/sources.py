"""Sources: what a collection is kept in step with. Whoever does so reads what is new, and tells what is no longer there."""

from typing import Any

from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from services.catalog import collections, people
from services.catalog.importing import source_files, sources
from services.catalog.importing.sources import SourceRow
from services.catalog.tables.source import Source
from services.errors import Conflict, NotFound
from services.gateway.answers import time_of
from services.gateway.doors import InCollection, Resource, collection_of, gateway
from services.gateway.importing.source_answers import (
    BeginIn,
    Files,
    FilesOut,
    Held,
    LeaveIn,
    LeftOut,
    NoteIn,
    ReleasedOut,
    ReleaseIn,
    SettledOut,
    SourceIn,
    SourceOut,
    SourcePath,
    SourcesOut,
)
from services.gateway.paging import number_after, page_of
from services.gateway.privacy import erasures
from services.path_hashes import hashed

MOST_SHARE = 0.1
"""Of a collection's people that leave with one synchronisation, unless somebody confirms it."""
_AT_ONCE = 20

resource = Resource("sources", "What collections are kept in step with")


@resource.door("get", "/sources", "read", responses={200: SourcesOut})
def index(query: InCollection) -> ResponseReturnValue:
    """What the collection is kept in step with."""
    with gateway().catalog.reading() as session:
        found = sources.all_of(session, collection_of(session, query.collection).id)
        return {"items": [_told(session, each) for each in found], "next_cursor": None}


@resource.door("post", "/sources", "enrol", responses={200: SourceOut})
def ensure(query: InCollection, body: SourceIn) -> ResponseReturnValue:
    """The source of that name, made where there is none."""
    with gateway().catalog.transaction() as session:
        return _told(session, sources.ensure(session, collection_of(session, query.collection).id, body.name))


@resource.door("delete", "/sources/<source_id>", "manage")
def delete(path: SourcePath, query: InCollection) -> ResponseReturnValue:
    """Forget a source and what was seen in it. Whom it brought stays."""
    with gateway().catalog.transaction() as session:
        session.delete(sources.by_public_id(session, collection_of(session, query.collection).id, path.source_id))
    return "", 204


@resource.door("get", "/sources/<source_id>/files", "read", responses={200: FilesOut})
def files(path: SourcePath, query: Files) -> ResponseReturnValue:
    """What was seen in a source, in no particular order."""
    with gateway().catalog.reading() as session:
        source = sources.by_public_id(session, collection_of(session, query.collection).id, path.source_id)
        found = sources.page(session, source, limit=query.limit + 1, after=number_after(query.cursor))
    return page_of([(_file(row), row.file.id) for row in found[: query.limit]], more=len(found) > query.limit)


@resource.door("post", "/sources/<source_id>/begin", "enrol", responses={200: SourceOut})
def begin(path: SourcePath, query: InCollection, body: BeginIn) -> ResponseReturnValue:
    """Bring a source in step, alone; say so again every few seconds. 409 while somebody else does."""
    with gateway().catalog.transaction() as session:
        source = sources.by_public_id(session, collection_of(session, query.collection).id, path.source_id)
        sources.begin(session, source, body.holder, instead_of=body.instead_of)
        return _told(session, source)


@resource.door("post", "/sources/<source_id>/end", "enrol", responses={200: SourceOut})
def end(path: SourcePath, query: InCollection, body: Held) -> ResponseReturnValue:
    """Say that all of a source was seen."""
    with gateway().catalog.transaction() as session:
        source = _mine(session, path, query, body)
        sources.end(session, source, body.holder)
        return _told(session, source)


@resource.door("post", "/sources/<source_id>/files", "enrol", responses={200: SourceOut})
def note(path: SourcePath, query: InCollection, body: NoteIn) -> ResponseReturnValue:
    """Remember files that were read and not sent, so that they are not read again as long as they stay as they are."""
    with gateway().catalog.transaction() as session:
        source = _mine(session, path, query, body)
        for each in body.files:
            seen = source_files.Seen(each.size_bytes, each.modified_ns, each.whose, each.label)
            source_files.note(session, source, each.path, each.sha256, seen, each.state, each.reason)
        return _told(session, source)


@resource.door("post", "/sources/<source_id>/release", "manage", responses={200: ReleasedOut})
def release(path: SourcePath, query: InCollection, body: ReleaseIn) -> ResponseReturnValue:
    """Forget files that are no longer there, and delete their photos where nobody else has sent or needs them."""
    gone: list[str] = []
    left = erasures.asking("left")
    for start in range(0, len(body.paths), _AT_ONCE):
        with gateway().catalog.transaction() as session:
            source = _mine(session, path, query, body)
            gone += sources.release(session, source, body.paths[start : start + _AT_ONCE], left)
    gateway().waking.wake()
    return {"photos": gone}


@resource.door("post", "/sources/<source_id>/leave", "manage", responses={200: LeftOut})
def leave(path: SourcePath, query: InCollection, body: LeaveIn) -> ResponseReturnValue:
    """Erase people who are no longer there. Who has photos from elsewhere stays, without those of this source."""
    erased: list[str] = []
    stayed: list[dict[str, Any]] = []
    left = erasures.asking("left")
    _must_be_few(query.collection, max(body.of, len(body.people)), confirmed=body.confirmed)
    for public_id in body.people:
        with gateway().catalog.transaction() as session:
            source = _mine(session, path, query, body)
            try:
                person = people.by_public_id(session, source.collection_id, public_id)
            except NotFound:
                continue
            stay = sources.stays(session, source, person)
            paths = sources.files_of(session, source, person)
            if stay.photos:
                sources.release(session, source, paths, left)
                stayed.append({"id": public_id, "photos": stay.photos})
            else:
                people.erase(session, person, left)
                sources.release(session, source, [hashed(each) for each in paths], left)
                erased.append(public_id)
    gateway().waking.wake()
    return {"erased": erased, "stayed": stayed}


@resource.door("post", "/sources/<source_id>/settle", "enrol", responses={200: SettledOut})
def settle(path: SourcePath, query: InCollection, body: Held) -> ResponseReturnValue:
    """Delete photos of files as they were before they changed, where the new ones are done."""
    with gateway().catalog.transaction() as session:
        source = _mine(session, path, query, body)
        settled = sources.settle(session, source, erasures.asking("left"))
    if settled:
        gateway().waking.wake()
    return {"files": settled}


def _mine(session: Session, path: SourcePath, query: InCollection, body: Held) -> Source:
    """The source, which the request's holder brings in step.

    Raises:
        Conflict: Somebody else does by now.
    """
    source = sources.by_public_id(session, collection_of(session, query.collection).id, path.source_id)
    if sources.holder_of(session, source) != body.holder:
        raise Conflict(f"Source {source.name} is not held by this command any more. Start it again.")
    return source


def _must_be_few(collection: str, leaving: int, *, confirmed: bool) -> None:
    with gateway().catalog.reading() as session:
        mine = collection_of(session, collection)
        there = collections.counts(session, mine.id)["people"]
    if leaving > MOST_SHARE * there and not confirmed:
        raise Conflict(f"{leaving} of {there} people would leave, more than a tenth. Say --yes where that is right.")


def _told(session: Session, source: Source) -> dict[str, Any]:
    return {
        "id": source.public_id,
        "name": source.name,
        "files": sources.count(session, source),
        "held_by": sources.holder_of(session, source),
        "synchronised_at": time_of(source.synchronised_at),
    }


def _file(row: SourceRow) -> dict[str, Any]:
    file = row.file
    seen = ("path", "size_bytes", "modified_ns", "sha256", "whose", "label")
    return {
        **{name: getattr(file, name) for name in seen},
        "state": row.state,
        "reason": row.reason,
        "person_id": row.person,
        "photo_id": row.photo,
    }
