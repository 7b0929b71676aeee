"""Looking: the interactive verb. A photo's bytes to faces and vectors, answered or passed on to a searcher."""

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from services import tracing
from services.broker.requests import Answer, Answering, Ask
from services.broker.shadows import Pair, Shadow, Shadows
from services.errors import ColegaError, PhotoRefused
from services.logs import logger
from services.rejections import Rejection
from workers.faces.detect import Mode, largest_central
from workers.faces.pipeline import FacePipeline
from workers.faces.values import Chip, Face
from workers.models.registry import Registry
from workers.serving.vectors import encoded


def look(ask: Ask, broker: Answering, models: Registry, shadows: Shadows) -> None:
    """Answer *ask*, or hand what was found on to a searcher. Past its deadline it is dropped unread.

    Every failure becomes an answer; a process that is killed on the way is answered for by its parent. Where the query is to
    be kept under another model, too, that comes last: who searches does not wait for it.
    """
    photos = broker.take(ask)
    if photos is None:
        logger().info("look.dropped", late_s=round(-ask.left_s, 3))
        return
    try:
        pipeline = models.pipeline(ask.model or models.active(), ask.detector)
        answer, chips = _answer(ask, photos, pipeline)
    except ColegaError as error:
        _tell(None, error.type)
        broker.fail(ask, error)
    except MemoryError:
        _tell(None, "memory")
        broker.fail(ask, PhotoRefused(Rejection.TOO_MANY_PIXELS, "The photo needs more memory than a search may take."))
    else:
        _tell(answer, None)
        if ask.search is None:
            broker.answer(ask, answer)
        else:
            broker.pass_on(ask, answer)
            if ask.shadow is not None and chips:
                _keep(ask.shadow, ask.detector, answer["photos"][0], chips, models, shadows)


def _tell(answer: Answer | None, problem: str | None) -> None:
    """One line of how it went, and the steps as spans."""
    took = {} if answer is None else {step: round(ms, 1) for step, ms in answer["took_ms"].items()}
    faces = None if answer is None else sum(len(photo["faces"]) for photo in answer["photos"])
    logger().info("photo.looked", faces=faces, problem=problem, **{f"{step}_ms": ms for step, ms in took.items()})
    tracing.stages(took)


def _keep(
    shadow: Shadow,
    detector: str | None,
    photo: Mapping[str, Any],
    chips: Sequence[Chip],
    models: Registry,
    shadows: Shadows,
) -> None:
    """Keep the vector of the largest central face together with that of the same chip under the shadow's model.

    Nothing depends on it: what goes wrong is logged. A model that is not open yet is opened beside the searches.
    """
    if not models.is_open(shadow.model, detector):
        return
    chosen = photo["chosen"]
    try:
        [after] = models.pipeline(shadow.model, detector).embed([chips[chosen]])
        shadows.keep(shadow, [Pair(photo["faces"][chosen]["vector"], encoded(after))])
    except (ColegaError, MemoryError) as error:
        logger().warning("shadow.not_kept", reason=str(error))


def _answer(ask: Ask, photos: list[bytes], pipeline: FacePipeline) -> tuple[Answer, list[Chip]]:
    """The answer, and the chips of the first photo's faces."""
    took_s = {"decode": 0.0, "detect": 0.0, "embed": 0.0}
    described: list[dict[str, Any]] = []
    chips: list[Chip] = []
    for photo in photos:
        reading = pipeline.read(photo, Mode(ask.mode))
        started = time.perf_counter()
        faces = [reading.face(i) for i in range(len(reading.detections))]
        if not described:
            chips = [face.chip for face in faces]
        found = [_told(face) for face in faces]
        if ask.model is not None:
            for told, vector in zip(found, pipeline.embed([face.chip for face in faces]), strict=True):
                told["vector"] = encoded(vector)
        chosen = largest_central(reading.detections, reading.width, reading.height) if faces else None
        size = {"width": reading.width, "height": reading.height, "format": reading.format}
        seen: dict[str, Any] = {**size, "faces": found, "chosen": chosen}
        if ask.preview_px is not None:
            seen["preview"] = base64.b64encode(reading.thumbnail(ask.preview_px)).decode()
        described.append(seen)
        took_s["decode"] += reading.decode_s
        took_s["detect"] += reading.detect_s
        took_s["embed"] += time.perf_counter() - started
    answer = {
        "model": pipeline.embedder.digest,
        "variant": pipeline.embedder.variant,
        "photos": described,
        "took_ms": {part: 1000 * seconds for part, seconds in took_s.items()},
    }
    return answer, chips


def _told(face: Face) -> dict[str, Any]:
    box, quality = face.detection.box, face.quality
    return {
        "box": [box.x, box.y, box.w, box.h],
        "landmarks": face.detection.landmarks.tolist(),
        "score": face.detection.score,
        "quality": asdict(quality),
    }
