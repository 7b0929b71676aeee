"""Looking: the interactive verb. A photo's bytes to faces and vectors, answered or passed on to a searcher."""

import time
from dataclasses import asdict
from typing import Any

from services.broker.requests import Answer, Answering, Ask
from services.errors import ColegaError, PhotoRefused, Rejection
from workers.faces.detect import Mode, largest_central
from workers.faces.pipeline import FacePipeline
from workers.faces.values import Face
from workers.models.registry import Registry
from workers.vectors import encoded


def look(ask: Ask, broker: Answering, models: Registry) -> None:
    """Answer *ask*, or hand what was found on to a searcher. Past its deadline it is dropped unread.

    Every failure becomes an answer; a process that is killed on the way is answered for by its parent.
    """
    photos = broker.take(ask)
    if photos is None:
        return
    try:
        pipeline = models.pipeline(ask.model or models.active(), ask.detector)
        answer = _answer(ask, photos, pipeline)
    except ColegaError as error:
        broker.fail(ask, error)
    except MemoryError:
        broker.fail(ask, PhotoRefused(Rejection.TOO_MANY_PIXELS, "The photo needs more memory than a search may take."))
    else:
        if ask.search is None:
            broker.answer(ask, answer)
        else:
            broker.pass_on(ask, answer)


def _answer(ask: Ask, photos: list[bytes], pipeline: FacePipeline) -> Answer:
    took_s = {"decode": 0.0, "detect": 0.0, "embed": 0.0}
    described = []
    for photo in photos:
        reading = pipeline.read(photo, Mode(ask.mode))
        started = time.perf_counter()
        faces = [reading.face(i) for i in range(len(reading.detections))]
        found = [_told(face) for face in faces]
        if ask.model is not None:
            for told, vector in zip(found, pipeline.embed([face.chip for face in faces]), strict=True):
                told["vector"] = encoded(vector)
        chosen = largest_central(reading.detections, reading.width, reading.height) if faces else None
        size = {"width": reading.width, "height": reading.height, "format": reading.format}
        described.append({**size, "faces": found, "chosen": chosen})
        took_s["decode"] += reading.decode_s
        took_s["detect"] += reading.detect_s
        took_s["embed"] += time.perf_counter() - started
    return {
        "model": pipeline.embedder.digest,
        "variant": pipeline.embedder.variant,
        "photos": described,
        "took_ms": {part: 1000 * seconds for part, seconds in took_s.items()},
    }


def _told(face: Face) -> dict[str, Any]:
    box, quality = face.detection.box, face.quality
    return {
        "box": [box.x, box.y, box.w, box.h],
        "landmarks": face.detection.landmarks.tolist(),
        "score": face.detection.score,
        "quality": asdict(quality),
    }
