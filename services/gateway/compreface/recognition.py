"""Recognise, detect, verify: what is in a photo, answered as CompreFace answers."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.broker.requests import Search
from services.errors import PhotoRefused
from services.gateway.auditing import requests as auditing
from services.gateway.compreface import failures, found, pictures
from services.gateway.compreface.facade import collection, door
from services.gateway.compreface.found import FacesQuery, FoundFace, Versions
from services.gateway.compreface.similarity import similarity
from services.gateway.searching import matches, rejected
from services.gateway.searching.search import MORE_THAN_ASKED, gallery_of, look
from services.gateway.searching.verify import cosine
from services.rejections import Rejection

ALL, MOST = -1, 100


class RecognizeQuery(FacesQuery):
    """How many people are told of for each face."""

    prediction_count: int = Field(default=1, ge=-1, description="The most similar; -1: as many as are told at once.")
    detect_faces: bool = Field(default=True, description="False is passed over: a face is looked for in any case.")


class Prediction(BaseModel):
    """Somebody who is alike."""

    subject: str
    similarity: float = Field(description="0 to 1; from 0.6 on colega takes it for them (docs/compreface.md).")


class RecognizedFace(FoundFace):
    """A face, and who is most alike."""

    subjects: list[Prediction]


class Recognized(Versions):
    """The faces of a photo, largest first."""

    result: list[RecognizedFace]


class Detected(Versions):
    """The faces of a photo, largest first."""

    result: list[FoundFace]


class FaceMatch(FoundFace):
    """A face of the target."""

    similarity: float


class Verification(Versions):
    """One source, and every face of the target."""

    source_image_face: FoundFace
    face_matches: list[FaceMatch]


class Verified(BaseModel):
    """A list of one."""

    result: list[Verification]


@door("post", "/recognition/recognize", "search", photos=1, responses={200: Recognized})
def recognize(query: RecognizeQuery) -> ResponseReturnValue:
    """Who is in a photo (`file`): for each face the people who are most alike."""
    if not query.prediction_count:
        failures.refuse(failures.INVALID, "prediction_count should be any positive number or -1")
    photo = pictures.photo()
    count = MOST if query.prediction_count == ALL else min(query.prediction_count, MOST)
    gallery = gallery_of(collection())
    threshold = found.threshold(gallery)
    but = rejected.of_photo(photo, gallery.collection.id, gallery.round)
    asked = Search(gallery.collection.id, gallery.generation, count + MORE_THAN_ASKED + but.most)
    answer = look(gallery, [photo], model=gallery.model.digest, search=asked)
    places = found.kept(answer, query)
    faces = [answer["photos"][0]["faces"][place] for place in places]
    answer = {**answer, "photos": [{"faces": faces}], "hits": [answer["hits"][place] for place in places]}
    rows = matches.named(answer, count, threshold, gallery.calibrated, unique=True, rejected=but)
    auditing.note_found(rows, threshold)
    result = [
        found.told(answer, query, face)
        | {
            "subjects": [
                {"subject": match["person"]["name"], "similarity": similarity(match["similarity"], threshold)}
                for match in row["matches"]
            ]
        }
        for face, row in zip(faces, rows, strict=True)
    ]
    return found.whole(gallery, query, result)


@door("post", "/detection/detect", "search", photos=1, responses={200: Detected})
def detect(query: FacesQuery) -> ResponseReturnValue:
    """Where the faces of a photo (`file`) are."""
    photo = pictures.photo()
    gallery = gallery_of(collection())
    answer = look(gallery, [photo], model=None)
    faces = answer["photos"][0]["faces"]
    result = [found.told(answer, query, faces[place]) for place in found.kept(answer, query)]
    return found.whole(gallery, query, result)


@door("post", "/verification/verify", "search", photos=2, responses={200: Verified})
def verify(query: FacesQuery) -> ResponseReturnValue:
    """How alike the one face of `source_image` is to each face of `target_image`."""
    photos = [pictures.photo("source_image"), pictures.photo("target_image")]
    gallery = gallery_of(collection())
    answer = look(gallery, photos, model=gallery.model.digest)
    sources, targets = found.kept(answer, query, 0), found.kept(answer, query, 1)
    if len(sources) > 1:
        raise PhotoRefused(Rejection.SEVERAL_FACES, "source_image: send a photo of one face.")
    source = answer["photos"][0]["faces"][sources[0]]
    threshold = found.pair_threshold(gallery)
    alike: list[dict[str, Any]] = []
    for place in targets:
        face = answer["photos"][1]["faces"][place]
        cos = cosine(source["vector"], face["vector"])
        alike.append(found.told(answer, query, face) | {"similarity": similarity(cos, threshold)})
    told = {"source_image_face": found.told(answer, query, source), "face_matches": alike}
    return {"result": [told | found.versions(gallery, query)]}
