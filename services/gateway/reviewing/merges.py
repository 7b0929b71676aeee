"""Merges: two people become one, and two again."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import people
from services.catalog.reviewing import merges
from services.catalog.reviewing.merges import MergeRow
from services.gateway import answers
from services.gateway.doors import InCollection, Page, Resource, Taken, collection_of, gateway, key
from services.gateway.paging import number_after, page_of
from services.gateway.people import PersonPath
from services.gateway.privacy import lawful

resource = Resource("merges", "People who were found to be one")


class MergePath(BaseModel):
    """Which merge."""

    merge_id: str = Field(max_length=64)


class MergesPage(Page):
    """Which merges."""

    person_id: str | None = Field(default=None, max_length=64, description="Only those into this person.")


class MergeIn(Taken):
    """Who remains."""

    into: str = Field(max_length=64)


class MergedOut(answers.Changed):
    """A merge: `merge` undoes it for 30 days."""

    merge: str


class UndoneOut(answers.Changed):
    """A merge that was undone, and who is back."""

    person: answers.PersonOut


class MergeOut(BaseModel):
    """Somebody who was merged into somebody else."""

    id: str
    person: answers.PersonRef | None = Field(
        description="Who went; who is back where it was undone, null where they are gone again."
    )
    into: answers.PersonRef = Field(description="Who remained, or remained of those when they were merged on.")
    faces: int = Field(description="How many faces went over; 0 once it is undone.")
    merged_by: str
    created_at: str
    undone_at: str | None


class MergesOut(BaseModel):
    """Merges, the latest first."""

    items: list[MergeOut]
    next_cursor: str | None


@resource.door("post", "/people/<person_id>/merge", "manage", responses={200: MergedOut})
def merge(path: PersonPath, query: InCollection, body: MergeIn) -> ResponseReturnValue:
    """Give all faces of this person to another one, who remains. It can be undone for 30 days."""
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        source = people.by_public_id(session, collection.id, path.person_id)
        into = people.by_public_id(session, collection.id, body.into)
        merged = merges.merge(session, source, into, by=key().name)
        lawful.require(session, collection, into)  # With the consent of either.
    gateway().waking.wake()
    return {"sequence": merged.head, "merge": merged.merge}


@resource.door("get", "/merges", "read", responses={200: MergesOut})
def index(query: MergesPage) -> ResponseReturnValue:
    """The merges of the last 30 days, the latest first."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        into = None if query.person_id is None else people.by_public_id(session, collection_id, query.person_id)
        before = number_after(query.cursor) or None
        found = merges.page(session, collection_id, into=into, limit=query.limit + 1, before=before)
    rows = [(merge_out(row), row.merge.id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("post", "/merges/<merge_id>/undo", "manage", responses={200: UndoneOut})
def undo(path: MergePath, query: InCollection) -> ResponseReturnValue:
    """Bring back who was merged away, under their old id, with those of their faces that are still with who remained."""
    with gateway().catalog.transaction() as session:
        undone = merges.undo(session, collection_of(session, query.collection).id, path.merge_id)
    gateway().waking.wake()
    with gateway().catalog.reading() as session:
        row = people.row_of(session, undone.person)
    return {"sequence": undone.head, "person": answers.person_out(row)}


def merge_out(row: MergeRow) -> dict[str, Any]:
    """See :class:`MergeOut`."""
    one = row.merge
    went = None if one.person is None else {"id": one.gone, **{k: one.person[k] for k in ("name", "external_id")}}
    return {
        "id": one.public_id,
        "person": went or answers.person_ref(row.back),
        "into": answers.person_ref(row.into),
        "faces": len(one.faces),
        "merged_by": one.merged_by,
        "created_at": answers.time_of(one.created_at),
        "undone_at": answers.time_of(one.undone_at),
    }
