"""Clusters: faces of nobody that look alike, and people who may be the same. The catalog has the last word here too."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import thresholds
from services.broker.joins import Join, What
from services.catalog import faces, people
from services.catalog.schema import Person
from services.errors import InvalidRequest, TooManyRequests
from services.gateway import answers
from services.gateway.doors import InCollection, Resource, gateway
from services.gateway.paging import cursor_of, place_after
from services.gateway.search import Gallery, gallery_of

CLUSTERS = {"strangers": 5.0, "rate": 0.001}
"""Groups are joined by the mean over their pairs, which errs less than one pair: so many strangers do no harm, by
measurement (docs/index.md, "Groups of faces")."""
ALIKE = {"strangers": 0.2, "rate": 0.0001}
"""A list that a person reads through."""

resource = Resource("clusters", "Who looks alike")


class Alike(InCollection):
    """From which similarity two are alike."""

    threshold: float | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="Alike from this cosine."
    )
    fmr: float | None = Field(default=None, gt=0, lt=1, description="Alike at this false-match rate of pairs.")
    after: int | None = Field(default=None, ge=0, lt=2**63, description="Reflect the log up to this sequence number.")
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=1024, description="`next_cursor` of the page before.")


class ClusterQuery(Alike):
    """Which clusters."""

    min_faces: int = Field(default=2, ge=2, le=10_000, description="Leave smaller clusters out.")
    shown: int = Field(default=100, ge=2, le=500, description="How many faces of a cluster to list.")


class ClusteredFace(BaseModel):
    """A face of a cluster."""

    face_id: str
    photo_id: str
    quality: float | None


class Nearest(BaseModel):
    """The person who is nearest to a cluster."""

    person: answers.PersonRef
    similarity: float = Field(description="Of the mean of the cluster's faces with the mean of theirs.")


class Cluster(BaseModel):
    """Faces of nobody that probably show one person, the most typical first."""

    size: int = Field(description="How many faces it has; the most typical are listed.")
    faces: list[ClusteredFace]
    similarity: float = Field(description="The mean over its pairs.")
    nearest: Nearest | None


class ClustersOut(BaseModel):
    """Clusters, largest first."""

    items: list[Cluster]
    next_cursor: str | None
    sequence: int
    threshold: float
    model: str


class PairOfPeople(BaseModel):
    """Two people who look alike."""

    people: list[answers.PersonRef]
    similarity: float = Field(description="The cosine of the means of their faces.")


class AlikeOut(BaseModel):
    """Pairs of people, most similar first."""

    items: list[PairOfPeople]
    next_cursor: str | None
    sequence: int
    threshold: float
    model: str


@resource.door("get", "/clusters", "read", responses={200: ClustersOut})
def clusters(query: ClusterQuery) -> ResponseReturnValue:
    """Faces of nobody that look alike, largest cluster first, with the person nearest to each.

    Two clusters are one where the mean similarity between them is `threshold` or more. A page may have fewer than `limit`
    clusters: what was assigned or deleted a moment ago is left out. Large collections take seconds: 503 until then.
    """
    gallery = gallery_of(query.collection)

    def default() -> float:
        with gateway().catalog.reading() as session:
            count = faces.count_unassigned(session, gallery.collection.id)
        return thresholds.for_pairs(_table(gallery), count, **CLUSTERS)

    answer, threshold = _joined(gallery, query, "faces", default, least=query.min_faces, shown=query.shown)
    found = answer["groups"]
    with gateway().catalog.reading() as session:
        there = faces.nobodys(session, [face for group in found for face in group["faces"]])
        known = people.named(session, {group["person"] for group in found if group["person"] is not None})
        items = [_cluster(group, there, known) for group in found]
    kept = [item for item in items if item["size"] >= query.min_faces and item["faces"]]
    return _page(kept, answer, threshold, gallery)


@resource.door("get", "/people/alike", "read", responses={200: AlikeOut})
def alike(query: Alike) -> ResponseReturnValue:
    """People who look alike and may be one person under two names, most similar first.

    A page may have fewer than `limit` pairs: who was deleted or merged a moment ago is left out. Large collections take
    seconds: 503 until then.
    """
    gallery = gallery_of(query.collection)

    def default() -> float:
        return thresholds.for_pairs(_table(gallery), gallery.people, **ALIKE)

    answer, threshold = _joined(gallery, query, "people", default)
    found = answer["pairs"]
    with gateway().catalog.reading() as session:
        known = people.named(session, {person for pair in found for person in pair[:2]})
        items = [
            {
                "people": [answers.person_ref(known[one]), answers.person_ref(known[other])],
                "similarity": round(similarity, 6),
            }
            for one, other, similarity in found
            if one in known and other in known
        ]
    return _page(items, answer, threshold, gallery)


def _joined(
    gallery: Gallery, query: Alike, what: What, default: Callable[[], float], *, least: int = 2, shown: int = 2
) -> tuple[dict[str, Any], float]:
    """A page from the searcher, and the threshold that it was made with: of a further page, that of the first."""
    threshold, place = _place(query.cursor, {"faces": 2, "people": 3}[what])
    if threshold is None and query.threshold is None and query.fmr is None:
        threshold = default()
    if threshold is None:
        threshold = thresholds.for_search(_table(gallery), gallery.people, threshold=query.threshold, fmr=query.fmr)
    join = Join(
        what, gallery.collection.id, gallery.generation, threshold, query.limit, least, shown, query.after, place
    )
    with _admitted():
        return gateway().asking.join(join, timeout_s=gateway().limits.search_timeout_s), threshold


def _table(gallery: Gallery) -> Mapping[str, Any]:
    found: Mapping[str, Any] = gallery.model.details.get("thresholds", {})
    return found


@contextmanager
def _admitted() -> Iterator[None]:
    """A place among the few such questions that go on at once: each may hold a thread until its deadline."""
    places = gateway().joins
    if not places.acquire(blocking=False):
        raise TooManyRequests("Too many comparisons at once. Try again in a moment.", retry_after_s=2)
    try:
        yield
    finally:
        places.release()


def _cluster(
    group: Mapping[str, Any], there: Mapping[int, faces.Nobodys], known: Mapping[int, Person]
) -> dict[str, Any]:
    shown = [there[face] for face in group["faces"] if face in there]
    person = known.get(group["person"])
    return {
        "size": group["size"] - (len(group["faces"]) - len(shown)),
        "faces": [
            {
                "face_id": face.face_id,
                "photo_id": face.photo_id,
                "quality": None if face.quality is None else face.quality["value"],
            }
            for face in shown
        ],
        "similarity": round(group["similarity"], 6),
        "nearest": None
        if person is None
        else {"person": answers.person_ref(person), "similarity": round(group["person_similarity"], 6)},
    }


def _page(
    items: Sequence[dict[str, Any]], answer: Mapping[str, Any], threshold: float, gallery: Gallery
) -> dict[str, Any]:
    return {
        "items": items,
        "next_cursor": None if answer["next"] is None else cursor_of([threshold, *answer["next"]]),
        "sequence": answer["sequence"],
        "threshold": threshold,
        "model": gallery.model.digest,
    }


def _place(cursor: str | None, length: int) -> tuple[float | None, tuple[float, ...] | None]:
    """Threshold and place of the last item of the page before."""
    place = place_after(cursor)
    if place is None:
        return None, None
    if not (isinstance(place, list) and len(place) == length + 1 and all(_is_number(n) for n in place)):
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.")
    if not 0 < place[0] <= 1:
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.")
    return place[0], tuple(place[1:])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and -(2**53) < value < 2**53  # Which NaN is not either.
