"""Doubtful: faces of people that are perhaps not theirs, and pictures that are hardly any good."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import thresholds
from services.catalog import people
from services.catalog.reviewing import doubtful
from services.gateway import answers
from services.gateway.doors import Page, Resource, collection_of, gateway
from services.gateway.paging import number_after, page_of
from services.gateway.reviewing import joined
from services.gateway.searching.search import gallery_of

UNLIKE = {"strangers": 1.0, "rate": 0.01}
"""A face is doubted that is no more like its person's others than a stranger in a hundred is (docs/index.md, "Doubtful faces")."""
POOR = 0.25

resource = Resource("doubtful", "What a person should look at")


class DoubtfulQuery(joined.Alike):
    """Which doubtful faces."""

    threshold: float | None = Field(
        default=None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="Doubt a face whose cosine with the mean of its person's other faces is below; otherwise the model's at FMR 0.01.",
    )
    person_id: str | None = Field(default=None, max_length=64, description="Only this person's.")


class PoorQuery(Page):
    """Which pictures."""

    below: float = Field(default=POOR, gt=0, le=1, description="A quality below this is poor.")
    person_id: str | None = Field(default=None, max_length=64, description="Only this person's.")


class Doubtful(BaseModel):
    """A face that is perhaps not of whom it is."""

    face: answers.FaceOut
    similarity: float = Field(description="The cosine with the mean of the person's other faces.")
    nearer: answers.PersonRef | None = Field(description="Who else it is like, if anybody; nearer than these or not.")
    nearer_similarity: float | None


class DoubtfulOut(BaseModel):
    """Doubtful faces, most doubtful first: by how much nearer another person is."""

    items: list[Doubtful]
    total: int = Field(description="On all pages, as they were compared at `sequence`.")
    next_cursor: str | None
    sequence: int
    threshold: float
    model: str


class PoorOut(BaseModel):
    """Faces of poor quality, oldest first."""

    items: list[answers.FaceOut]
    total: int
    next_cursor: str | None


@resource.door("get", "/review/doubtful", "read", responses={200: DoubtfulOut})
def index(query: DoubtfulQuery) -> ResponseReturnValue:
    """Faces of people that are little like the person's other faces, or nearer to somebody else.

    Nothing is said of somebody's only face. A page may have fewer than `limit` faces: what was confirmed, assigned or deleted since
    is left out. Large collections take seconds: 503 until then.
    """
    gallery = gallery_of(query.collection)
    person = None
    if query.person_id is not None:
        with gateway().catalog.reading() as session:
            person = people.by_public_id(session, gallery.collection.id, query.person_id).id

    def default() -> float:
        return thresholds.for_pairs(joined.table_of(gallery), 1, **UNLIKE)

    answer, threshold = joined.asked(gallery, query, "doubts", default, person=person)
    with gateway().catalog.reading() as session:
        found = doubtful.still_doubtful(session, answer["doubts"], threshold=threshold)
    return joined.page([_out(doubt) for doubt in found], answer, threshold, gallery)


@resource.door("get", "/review/poor", "read", responses={200: PoorOut})
def poor(query: PoorQuery) -> ResponseReturnValue:
    """Faces of people whose picture is hardly any good for recognition, unless somebody has confirmed them."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        person = None if query.person_id is None else people.by_public_id(session, collection_id, query.person_id)
        found = doubtful.poor(
            session,
            collection_id,
            below=query.below,
            person=person,
            limit=query.limit + 1,
            after=number_after(query.cursor),
        )
        total = doubtful.count_poor(session, collection_id, below=query.below, person=person)
    rows = [(answers.face_out(*row), row[0].id) for row in found[: query.limit]]
    return {**page_of(rows, more=len(found) > query.limit), "total": total}


def _out(doubt: doubtful.Doubt) -> dict[str, Any]:
    return {
        "face": answers.face_out(doubt.face, doubt.photo, doubt.person),
        "similarity": round(doubt.own, 6),
        "nearer": answers.person_ref(doubt.other),
        "nearer_similarity": None if doubt.other is None else round(doubt.similarity, 6),
    }
