"""Matches: whom a searcher's hits are, in which order they are listed, and who is named once a photo."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.broker.requests import Answer
from services.calibrated import Calibrated
from services.catalog import faces
from services.gateway import answers
from services.gateway.doors import gateway
from services.gateway.searching.rejected import Rejected


class Match(BaseModel):
    """One of the nearest persons."""

    person: answers.PersonRef
    similarity: float = Field(description="The person's score: the cosine with the mean of their faces.")
    accepted: bool
    fmr: float | None = Field(
        description="The share of other people's photos that are as similar to them, by the collection's calibration: "
        "never below the least rate that it has enough people for, and null without one."
    )
    probability: float | None = Field(
        description="That both are one person, by the model's Siamese head; null unless `rerank` is asked for."
    )
    face_id: str = Field(description="Their most similar face.")
    photo_id: str


class FoundFace(BaseModel):
    """A face of the photo and the nearest persons."""

    box: answers.BoxOut | None
    landmarks: list[list[float]] | None
    score: float | None
    quality: float | None
    decision: Literal["match", "unknown"]
    matches: list[Match]


def named(
    answer: Answer,
    k: int,
    threshold: float,
    calibrated: Calibrated | None,
    *,
    unique: bool,
    rejected: Rejected | None = None,
) -> list[dict[str, Any]]:
    """The faces of an answer with the persons that their hits are now, by the catalog.

    Args:
        answer: A searcher's.
        k: How many persons are listed for each face.
        threshold: Similarity from which a match is accepted.
        calibrated: Says which rate a similarity stands for.
        unique: Whether a person is named once in the photo.
        rejected: Whom the faces are not: they are left out, as if they were not enrolled.
    """
    found = answer["photos"][0]["faces"]
    with gateway().catalog.reading() as session:
        known = faces.owners(session, {hit["face"] for hits in answer["hits"] for hit in hits})
    left_out = (rejected or Rejected()).of(answer)
    listed = [_still_true(hits, known, calibrated, but) for hits, but in zip(answer["hits"], left_out, strict=True)]
    if any("probability" in hit for hits in answer["hits"] for hit in hits):
        listed = [_reranked(matches, threshold) for matches in listed]
    taken = _owners(listed, threshold) if unique else {}
    rows = []
    for place, (face, matches) in enumerate(zip(found, listed, strict=True)):
        mine = [m for m in matches if taken.get(m["person"]["id"], place) == place][:k]
        accepted = [{**match, "accepted": match["similarity"] >= threshold} for match in mine]
        rows.append(
            {
                "box": answers.box_out(face["box"]) if "box" in face else None,
                "landmarks": face.get("landmarks"),
                "score": face.get("score"),
                "quality": face["quality"]["value"] if "quality" in face else None,
                "decision": "match" if accepted and accepted[0]["accepted"] else "unknown",
                "matches": accepted,
            }
        )
    return rows


def _still_true(
    hits: Sequence[Mapping[str, Any]],
    known: Mapping[int, faces.Owner],
    calibrated: Calibrated | None,
    but: AbstractSet[int],
) -> list[dict[str, Any]]:
    """Hits whose face is still there and still that person's, unless the face that is searched is not them."""
    rows = []
    for hit in hits:
        owner = known.get(hit["face"])
        if owner is not None and owner.person == hit["person"] and owner.person not in but:
            rows.append(
                {
                    "person": {"id": owner.person_id, "name": owner.name, "external_id": owner.external_id},
                    "similarity": round(hit["similarity"], 6),
                    "fmr": None if calibrated is None else calibrated.fmr_of(hit["similarity"]),
                    "probability": None if "probability" not in hit else round(hit["probability"], 6),
                    "face_id": owner.face_id,
                    "photo_id": owner.photo_id,
                }
            )
    return rows


def _reranked(matches: Sequence[dict[str, Any]], threshold: float) -> list[dict[str, Any]]:
    """By falling probability, those that similarity accepts before the others; so nobody is accepted or refused by it."""
    return sorted(matches, key=lambda match: (match["similarity"] < threshold, -match["probability"]))


def _owners(listed: Sequence[Sequence[Mapping[str, Any]]], threshold: float) -> dict[str, int]:
    """Which face of the photo keeps each person that several faces would be named as: the most similar one.

    Pairs at or above the threshold are dealt out by falling similarity, or probability where they are ranked by that; a face
    and a person count once.
    """
    pairs = sorted(
        (
            (_rank(m), place, m["person"]["id"])
            for place, ms in enumerate(listed)
            for m in ms
            if m["similarity"] >= threshold
        ),
        key=lambda pair: (-pair[0], pair[1]),
    )
    owners: dict[str, int] = {}
    named: set[int] = set()
    for _, place, person in pairs:
        if person not in owners and place not in named:
            owners[person] = place
            named.add(place)
    return owners


def _rank(match: Mapping[str, Any]) -> float:
    """What matches are ordered by."""
    return float(match["similarity"] if match["probability"] is None else match["probability"])
