"""What the client's questions are answered with, as types: ``search``, ``verify``, ``detect``, ``represent``.

At run time these are the dictionaries that the API sends, as ``/openapi.json`` describes them.
"""

from typing import Literal, TypedDict


class Box(TypedDict):
    """In pixels of the photo."""

    x: float
    y: float
    w: float
    h: float


class Person(TypedDict):
    """Who somebody is."""

    id: str
    name: str
    external_id: str | None


class Match(TypedDict):
    """One of the nearest people; ``similarity`` is their score, ``fmr`` null without a calibration."""

    person: Person
    similarity: float
    accepted: bool
    fmr: float | None
    probability: float | None
    face_id: str
    photo_id: str


class NamedFace(TypedDict):
    """Who a face is, and the nearest people."""

    decision: Literal["match", "unknown"]
    matches: list[Match]


class FoundFace(NamedFace):
    """A face of a photo."""

    box: Box
    landmarks: list[list[float]]
    score: float
    quality: float


class _Searched(TypedDict):
    model: str
    variant: str | None
    sequence: int
    threshold: float
    decided_by: Literal["request", "calibration", "model"]
    took_ms: dict[str, float]


class SearchAnswer(_Searched):
    """Who is in a photo."""

    faces: list[FoundFace]


class FaceSearchAnswer(_Searched):
    """Whom a kept face is like; the list has one."""

    faces: list[NamedFace]


class VerifyAnswer(TypedDict):
    """How alike two are."""

    similarity: float
    same: bool
    threshold: float
    decided_by: Literal["request", "calibration", "model"]
    fmr: float | None
    probability: float | None
    model: str


class DetectedFace(TypedDict):
    """A face without an identity."""

    box: Box
    landmarks: list[list[float]]
    score: float
    quality: float


class DetectAnswer(TypedDict):
    """The faces of a photo, best score first."""

    width: int
    height: int
    took_ms: dict[str, float]
    faces: list[DetectedFace]


class RepresentedFace(DetectedFace):
    """A face with its embedding, of norm 1."""

    embedding: list[float]


class RepresentAnswer(TypedDict):
    """The faces of a photo with embeddings of *model*, best score first."""

    model: str
    width: int
    height: int
    faces: list[RepresentedFace]
