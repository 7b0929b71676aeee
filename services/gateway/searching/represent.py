"""Represent: the embeddings of a photo's faces, where that is allowed at all."""

import base64
from array import array

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.errors import Forbidden
from services.gateway import answers, uploads
from services.gateway.doors import InCollection, Resource, gateway
from services.gateway.guarding.auth import may
from services.gateway.searching.search import gallery_of, look

resource = Resource("represent", "Embeddings, where they are given out")


class RepresentedFace(BaseModel):
    """A face with its embedding."""

    box: answers.BoxOut
    landmarks: list[list[float]]
    score: float
    quality: float
    embedding: list[float] = Field(description="Of norm 1: the cosine of two is their inner product.")


class RepresentOut(BaseModel):
    """The faces of a photo, best score first."""

    model: str = Field(description="Embeddings of different models cannot be compared.")
    width: int
    height: int
    faces: list[RepresentedFace]


@resource.door("post", "/represent", "manage", in_memory=True, responses={200: RepresentOut})
def represent(query: InCollection) -> ResponseReturnValue:
    """The embeddings of a photo's faces (multipart `photo`). Refused unless COLEGA_EMBEDDINGS_OVER_API is set."""
    if not are_told():
        raise Forbidden(
            "Embeddings are not given out: they are as personal as photos. Set COLEGA_EMBEDDINGS_OVER_API=true where they "
            "are needed."
        )
    photo = uploads.query_photo()
    gallery = gallery_of(query.collection)
    answer = look(gallery, [photo], model=gallery.model.digest)
    seen = answer["photos"][0]
    found = [
        {
            "box": answers.box_out(face["box"]),
            "landmarks": face["landmarks"],
            "score": face["score"],
            "quality": face["quality"]["value"],
            "embedding": numbers_of(face["vector"]),
        }
        for face in seen["faces"]
    ]
    return {"model": gallery.model.digest, "width": seen["width"], "height": seen["height"], "faces": found}


def are_told() -> bool:
    """Whether embeddings are given out, and to the key of the request."""
    return gateway().limits.embeddings_over_api and may("manage")


def numbers_of(vector: str) -> list[float]:
    """A vector, base64 of float32, as numbers."""
    return [round(number, 8) for number in array("f", base64.b64decode(vector))]
