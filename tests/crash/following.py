"""A searcher's follower that dies by SIGKILL: ``python -m tests.crash.following`` with one JSON document as argument.

    url, folder, shelf    the catalog, the folder of replicas, and what stands for the photo store
    generation            in which it looks at the faces
    moment, count         where it dies: the count-th time that the moment is reached; "never" lives on
    sealing               "here", so that sealing dies at its moments as well, or "process"

It says ``started`` on standard output when it follows.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from index.engine.compaction import Sizes
from index.engine.home import EngineHome
from index.engine.sealing import SealingHere, SealingProcess
from services.catalog.engine import Catalog
from tests.unit.index.arrays import D, FolderShelf, unit_vectors
from workers.serving.following import CatalogLog
from workers.serving.replicas import Keeping, Replicas

SIZES = Sizes(tail=8, segment=48, small=3, dead_share=0.2)
"""So small that some dozens of faces are sealed, merged and written anew."""


def home(folder: Path, shelf: Path, **more: Any) -> EngineHome:
    """Where the replica of a collection lives."""
    return EngineHome(D, folder, more.pop("sealer", SealingHere()), FolderShelf(shelf), sizes=SIZES, **more)


def main() -> None:
    """Follow, search, seal and write snapshots for ever, or until the moment."""
    asked = json.loads(sys.argv[1])
    left = asked["count"]

    def reached(moment: str) -> None:
        nonlocal left
        left -= moment == asked["moment"]
        if left <= 0:
            os.kill(os.getpid(), 9)

    sealer = SealingHere(reached) if asked["sealing"] == "here" else SealingProcess()
    log = CatalogLog(Catalog(asked["url"]))

    def opened(collection: int, generation: int) -> EngineHome:
        folder = Path(asked["folder"]) / f"{collection}-g{generation}"
        return home(folder, Path(asked["shelf"]), sealer=sealer, reached=reached)

    keeping = Keeping(memory_mb=64, snapshot_s=0.05, snapshot_faces=1, uploads=lambda: True)
    replicas = Replicas(log, opened, keeping)
    said = False
    while True:
        replicas.follow(log.heads())
        replica = replicas.get(asked["collection"], asked["generation"])
        if replica is None:
            continue
        if not said:
            sys.stdout.write("started\n")
            sys.stdout.flush()
            said = True
        for index in (replica.faces, replica.templates):
            found = index.search(unit_vectors(1, len(replica)), 3)
            assert np.isfinite(found.similarities[found.ids >= 0]).all()
        reached("followed")


if __name__ == "__main__":
    main()
