"""What was found in a photo, in CompreFace's shapes."""

import base64
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from services import thresholds
from services.broker.requests import Answer, Search
from services.errors import PhotoRefused
from services.gateway.compreface.facade import Asked
from services.gateway.doors import gateway
from services.gateway.searching import represent
from services.gateway.searching.search import Gallery
from services.rejections import Rejection

BUILT_IN = "mtcnn"


class FacesQuery(Asked):
    """Which faces of a photo count, and what is told of them."""

    limit: int = Field(default=0, ge=0, description="So many of the largest faces; 0: all.")
    det_prob_threshold: float | None = Field(default=None, ge=0, le=1, description="Least score of a face.")
    face_plugins: str = Field(
        default="", description="`landmarks`, and `calculator` where embeddings are given out; others are passed over."
    )
    status: bool = Field(default=False, description="Whether milliseconds and versions are told.")


class Box(BaseModel):
    """Where a face is, in pixels."""

    probability: float
    x_max: int
    y_max: int
    x_min: int
    y_min: int


class FoundFace(BaseModel):
    """A face of a photo."""

    box: Box
    landmarks: list[list[int]] | None = None
    embedding: list[float] | None = None
    execution_time: dict[str, float] | None = None


class Versions(BaseModel):
    """What has looked, where ``status`` asks for it."""

    plugins_versions: dict[str, str] | None = None


def kept(answer: Answer, query: FacesQuery, place: int = 0) -> list[int]:
    """The places of the faces that count in photo *place* of an answer, largest first.

    Raises:
        PhotoRefused: ``no_face``: there is none.
    """
    faces = answer["photos"][place]["faces"]
    least = query.det_prob_threshold or 0.0
    places = [i for i, face in enumerate(faces) if face["score"] >= least]
    if not places:
        raise PhotoRefused(Rejection.NO_FACE, "No face was found, upright or turned.")
    places.sort(key=lambda i: -faces[i]["box"][2] * faces[i]["box"][3])
    return places[: query.limit or None]


def told(answer: Answer, query: FacesQuery, face: dict[str, Any]) -> dict[str, Any]:
    """One face, as far as *query* asks."""
    x, y, w, h = face["box"]
    row: dict[str, Any] = {
        "box": {
            "probability": round(face["score"], 5),
            "x_max": round(x + w),
            "y_max": round(y + h),
            "x_min": max(round(x), 0),
            "y_min": max(round(y), 0),
        }
    }
    if "landmarks" in query.face_plugins:
        row["landmarks"] = [[round(x), round(y)] for x, y in face["landmarks"]]
    if "calculator" in query.face_plugins and "vector" in face and represent.are_told():
        row["embedding"] = represent.numbers_of(face["vector"])
    if query.status:
        took = answer["took_ms"]
        row["execution_time"] = {"detector": round(took["detect"], 1), "calculator": round(took.get("embed", 0.0), 1)}
    return row


def whole(gallery: Gallery, query: FacesQuery, result: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer: faces, and what has looked where *query* asks for that."""
    return {"result": list(result), **versions(gallery, query)}


def versions(gallery: Gallery, query: FacesQuery) -> dict[str, Any]:
    """See :class:`Versions`."""
    if not query.status:
        return {}
    return {"plugins_versions": {"detector": gallery.detector or BUILT_IN, "calculator": gallery.model.name}}


def pair_threshold(gallery: Gallery) -> float:
    """The cosine from which two photos count as one person's."""
    table = gallery.model.details.get("thresholds", {})
    return thresholds.of_comparison(gallery.calibrated, table, "pairs").threshold


def wait_until_searchable(gallery: Gallery, sequence: int | None) -> None:
    """Wait until a search reflects the log of the collection up to *sequence*.

    Raises:
        IndexBehind, WorkersBusy: It does not, within the time a search may take.
    """
    if sequence is None:
        return
    width = gallery.model.dimension or 1
    anything = base64.b64encode(bytes(4 * (width - 1)) + b"\0\0\x80\x3f").decode()
    asked = Search(gallery.collection.id, gallery.generation, 1, after=sequence)
    timeout_s = gateway().limits.search_timeout_s
    gateway().asking.search([anything], asked, model=gallery.model.digest, timeout_s=timeout_s)


def threshold(gallery: Gallery) -> float:
    """The score from which a search accepts a person."""
    table = gallery.model.details.get("thresholds", {})
    return thresholds.of_search(gallery.calibrated, table, gallery.people).threshold
