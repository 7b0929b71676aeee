"""Twenty ``kill -9`` during rebuilds, and what is left of them: the rows of one that nobody disturbed."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.machine import Row
from benchmarks.rebuild import gallery, proof
from benchmarks.rebuild.asked import Asked, Told
from benchmarks.rebuild.service import ENDED, Rebuilding, Rows

VICTIMS = ("bulk worker",) * 6 + ("searcher",) * 4 + ("gateway",) * 4 + ("broker",) * 3 + ("store",) * 3
_PAUSES_S = (0.2, 1.0)
_MOST_RUNS = 8
_SEED = 1010


@dataclass(frozen=True, slots=True)
class Left:
    """What a rebuild has left."""

    faces: Sequence[tuple[Any, ...]]
    """Every face of every round: ids, whose it is, where, its chip."""
    log: Sequence[tuple[Any, ...]]
    embeddings: Sequence[tuple[int, int]]
    """Face and model."""
    vectors: np.ndarray
    """(embeddings, d) float32, in that order."""


def told(asked: Asked) -> Told:
    """A rebuild in peace; then as many as it takes for twenty kills, each from the same rows."""
    victims = list(VICTIMS[::4] if asked.quick else VICTIMS)
    random.Random(_SEED).shuffle(victims)
    with gallery.served(asked, "peace") as service:
        rebuild = service.rebuild(model=gallery.NEW)
        service.wait(rebuild, ("switched",))
        undisturbed = left(service.catalog())
    killed: Counter[str] = Counter()
    during: Counter[str] = Counter()
    differences: list[str] = []
    least, took, runs = 1.0, [], 0
    while victims and runs < _MOST_RUNS:
        runs += 1
        with gallery.served(asked, f"killing-{runs}") as service:
            started = time.monotonic()
            rebuild = service.rebuild(model=gallery.NEW)
            service.wait(rebuild, ("embedding",))
            _kill(service, rebuild, victims, killed, during, random.Random(_SEED + runs))
            service.wait(rebuild, ("switched",))
            took.append(time.monotonic() - started)
            after = left(service.catalog())
            differences += [*proof.wrong(service.catalog()), *_differences(undisturbed, after)]
            if after.embeddings == undisturbed.embeddings:
                least = min(least, float((undisturbed.vectors * after.vectors).sum(1).min()))
    rows = [
        Row("kill -9", "kills", float(killed.total())),
        Row("kill -9", "rebuilds over which they were spread", float(runs)),
        *(Row("kill -9", f"of {part}", float(count)) for part, count in sorted(killed.items())),
        *(Row("kill -9", f"while {state}", float(count)) for state, count in sorted(during.items())),
        Row("kill -9", "rebuilds that ended switched", float(len(took))),
        Row("kill -9", "differences in faces, people, log and embeddings", float(len(differences))),
        Row("kill -9", "least cosine to the undisturbed vectors", least),
        Row("kill -9", "longest rebuild, s", max(took)),
    ]
    return Told(rows, [f"seed {_SEED}; the supervisor of `colega up` starts again what was killed", *differences[:5]])


def left(catalog: Rows) -> Left:
    """The rows of all collections."""
    embeddings = catalog.all("SELECT face_id, model_id, vector FROM embeddings ORDER BY model_id, face_id")
    vectors = [np.frombuffer(vector, "<f2").astype(np.float32) for *_, vector in embeddings]
    found = np.stack(vectors)
    return Left(
        catalog.all(
            "SELECT f.public_id, f.id, f.round, p.public_id, p.name, f.assigned_by, f.box, f.chip_key FROM faces f "
            "LEFT JOIN people p ON p.id = f.person_id ORDER BY f.public_id, f.round"
        ),
        catalog.all("SELECT collection_id, sequence, operation, face_id, person_id FROM log ORDER BY 1, 2"),
        [(face, model) for face, model, _ in embeddings],
        found / np.linalg.norm(found, axis=1, keepdims=True),
    )


def _kill(
    service: Rebuilding,
    rebuild: str,
    victims: list[str],
    killed: Counter[str],
    during: Counter[str],
    rng: random.Random,
) -> None:
    """Kill processes of *victims*, the last first, until the rebuild is over or none is left."""
    while victims:
        time.sleep(rng.uniform(*_PAUSES_S))
        state = _state(service.catalog(), rebuild)
        if state in ENDED:
            return
        pids = [pid for pid, part in service.parts() if part == victims[-1]]
        if not pids:
            continue  # It is being started again.
        os.kill(rng.choice(pids), signal.SIGKILL)
        killed[victims.pop()] += 1
        during[state] += 1


def _state(catalog: Rows, rebuild: str) -> str:
    [(state,)] = catalog.all("SELECT state FROM rebuilds WHERE public_id = ?", (rebuild,))
    return str(state)


def _differences(before: Left, after: Left) -> list[str]:
    parts = ("faces", "log", "embeddings")
    return [f"{part} differ" for part in parts if list(getattr(before, part)) != list(getattr(after, part))]
