"""What DeepFace's users type, over a collection: ``find``, ``verify``, ``represent`` (docs/python.md).

Results have DeepFace's names. Its ``db_path`` is the client's collection; model, detector and thresholds are the service's, so
the arguments that choose them are not there. ``distance`` is 1 - cosine; ``threshold`` is a distance, too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.cli.answers import Box
from services.cli.client import Client

Row = dict[str, Any]


def find(img_path: Path | str, client: Client, *, k: int = 5, refuse_unknown: bool = True) -> list[list[Row]]:
    """Who is in a photo: for each face a list of people, most similar first. ``pandas.DataFrame(rows)`` makes DeepFace's frame.

    Args:
        img_path: The photo.
        client: Whose collection is searched.
        k: How many people are listed for each face.
        refuse_unknown: Whether only those are listed who are within the threshold, as DeepFace does.

    Raises:
        ServiceError, Unreachable: The service refused, or does not answer.
    """
    answer = client.search(Path(img_path), k=k)
    threshold = 1 - answer["threshold"]
    return [
        [
            {
                "identity": match["person"]["name"],
                "person_id": match["person"]["id"],
                "distance": 1 - match["similarity"],
                "threshold": threshold,
                **{f"source_{side}": length for side, length in _area(face["box"]).items()},
            }
            for match in face["matches"]
            if match["accepted"] or not refuse_unknown
        ]
        for face in answer["faces"]
    ]


def verify(img1_path: Path | str, img2_path: Path | str, client: Client) -> Row:
    """Whether two photos show the same person.

    Raises:
        ServiceError, Unreachable: As :func:`find`; no face in one of them is refused, too.
    """
    answer = client.verify(Path(img1_path), Path(img2_path))
    return {
        "verified": answer["same"],
        "distance": 1 - answer["similarity"],
        "threshold": 1 - answer["threshold"],
        "model": answer["model"],
        "similarity_metric": "cosine",
    }


def represent(img_path: Path | str, client: Client) -> list[Row]:
    """The embeddings of a photo's faces; needs a key with the scope ``manage``, and COLEGA_EMBEDDINGS_OVER_API.

    Raises:
        ServiceError, Unreachable: As :func:`find`; embeddings are not given out.
    """
    return [
        {
            "embedding": face["embedding"],
            "facial_area": _area(face["box"]) | _eyes(face["landmarks"]),
            "face_confidence": face["score"],
        }
        for face in client.represent(Path(img_path))["faces"]
    ]


def _area(box: Box) -> Row:
    return {"x": round(box["x"]), "y": round(box["y"]), "w": round(box["w"]), "h": round(box["h"])}


def _eyes(landmarks: Sequence[Sequence[float]]) -> Row:
    """DeepFace's left eye is the person's own, which is on the right of the picture."""
    right, left = landmarks[:2]
    return {"left_eye": tuple(map(round, left)), "right_eye": tuple(map(round, right))}
