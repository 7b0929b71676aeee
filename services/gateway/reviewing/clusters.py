"""Clusters: faces of nobody that look alike, and people who may be the same. The catalog has the last word here too."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import thresholds
from services.catalog import faces, people
from services.catalog.reviewing import not_same
from services.catalog.schema import Person
from services.gateway import answers
from services.gateway.doors import Resource, gateway
from services.gateway.reviewing import joined
from services.gateway.searching.search import gallery_of

CLUSTERS = {"strangers": 5.0, "rate": 0.001}
"""Groups are joined by the mean over their pairs, which errs less than one pair: so many strangers do no harm, by
measurement (docs/index.md, "Groups of faces")."""
ALIKE = {"strangers": 0.2, "rate": 0.0001}
"""A list that a person reads through."""

resource = Resource("clusters", "Who looks alike")


class ClusterQuery(joined.Alike):
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
    nearest: Nearest | None = Field(
        description="Of the five nearest people the first whom none of its faces is said not to be."
    )


class ClustersOut(BaseModel):
    """Clusters, largest first."""

    items: list[Cluster]
    total: int = Field(description="On all pages, as they were compared at `sequence`.")
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
    total: int = Field(description="On all pages, as they were compared at `sequence`.")
    next_cursor: str | None
    sequence: int
    threshold: float
    model: str


@resource.door("get", "/clusters", "read", responses={200: ClustersOut})
def clusters(query: ClusterQuery) -> ResponseReturnValue:
    """Faces of nobody that look alike, largest cluster first, with the person nearest to each.

    Two clusters are one where the mean similarity between them is `threshold` or more. A page may have fewer than `limit`
    clusters: what was assigned or deleted a moment ago is left out, and a face that was taken out of a cluster
    (`POST /v1/faces/{id}/reject` with `face_ids`). Large collections take seconds: 503 until then.
    """
    gallery = gallery_of(query.collection)

    def default() -> float:
        with gateway().catalog.reading() as session:
            count = faces.count_unassigned(session, gallery.collection.id)
        return thresholds.for_pairs(joined.table_of(gallery), count, **CLUSTERS)

    answer, threshold = joined.asked(gallery, query, "faces", default, least=query.min_faces, shown=query.shown)
    found = answer["groups"]
    with gateway().catalog.reading() as session:
        there = faces.nobodys(session, [face for group in found for face in group["faces"]])
        shown = [face.face_id for face in there.values()]
        known = people.named(session, {person for group in found for person, _ in group["people"]})
        apart, people_not = not_same.apart(session, shown), not_same.people_not(session, shown)
        items = [_cluster(group, there, known, apart, people_not) for group in found]
    kept = [item for item in items if item["size"] >= query.min_faces and item["faces"]]
    return joined.page(kept, answer, threshold, gallery)


@resource.door("get", "/people/alike", "read", responses={200: AlikeOut})
def alike(query: joined.Alike) -> ResponseReturnValue:
    """People who look alike and may be one person under two names, most similar first.

    A page may have fewer than `limit` pairs: who was deleted or merged a moment ago is left out, and those who were said to be two
    (`POST /v1/people/{id}/distinct`). Large collections take seconds: 503 until then.
    """
    gallery = gallery_of(query.collection)

    def default() -> float:
        return thresholds.for_pairs(joined.table_of(gallery), gallery.people, **ALIKE)

    answer, threshold = joined.asked(gallery, query, "people", default)
    found = answer["pairs"]
    with gateway().catalog.reading() as session:
        known = people.named(session, {person for pair in found for person in pair[:2]})
        two = not_same.distinct(session, list(known))
        items = [
            {
                "people": [answers.person_ref(known[one]), answers.person_ref(known[other])],
                "similarity": round(similarity, 6),
            }
            for one, other, similarity in found
            if one in known and other in known and (min(one, other), max(one, other)) not in two
        ]
    return joined.page(items, answer, threshold, gallery)


def _cluster(
    group: Mapping[str, Any],
    there: Mapping[int, faces.Nobodys],
    known: Mapping[int, Person],
    apart: Mapping[str, AbstractSet[str]],
    people_not: Mapping[str, AbstractSet[int]],
) -> dict[str, Any]:
    listed = [there[face] for face in group["faces"] if face in there]
    shown = _together(listed, apart)
    but: set[int] = set().union(*(people_not.get(face.face_id, ()) for face in shown))
    near = next(
        ((known[person], level) for person, level in group["people"] if person in known and person not in but), None
    )
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
        "nearest": None if near is None else {"person": answers.person_ref(near[0]), "similarity": round(near[1], 6)},
    }


def _together(listed: Sequence[faces.Nobodys], apart: Mapping[str, AbstractSet[str]]) -> list[faces.Nobodys]:
    """Faces without those that were taken out of the company of others that are still there, the least typical first."""
    ids = {face.face_id for face in listed}
    for face in reversed(listed):
        if not ids.isdisjoint(apart.get(face.face_id, ())):
            ids.discard(face.face_id)
    return [face for face in listed if face.face_id in ids]
