"""Searches beside a writer, for the tests of the engine on each device."""

import threading

import numpy as np

from index.engine.engine import Engine
from tests.unit.index.arrays import unit_vectors


def searches_that_failed(engine: Engine, rounds: int) -> list[BaseException]:
    """Two threads search for faces that never go, while others come, go and are given their vector again."""
    kept = unit_vectors(20, seed=1)
    engine.add(range(1, 21), kept, sequence=1)
    failed: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                assert engine.search(kept, 1).ids[:, 0].tolist() == list(range(1, 21))
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(rounds):
        engine.add([1000 + n, 1 + n % 20], np.stack([unit_vectors(1, 5000 + n)[0], kept[n % 20]]), sequence=n + 2)
        engine.remove([900 + n], sequence=n + 2)
        engine.settle()
    stop.set()
    for thread in threads:
        thread.join()
    return failed
