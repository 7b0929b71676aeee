"""One part of the benchmark, in a process of its own. ``python -m benchmarks.index.part NAME --out FILE …``."""

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.index import (
    building,
    codebooks,
    galleries,
    idling,
    joins,
    large,
    latency,
    peers,
    people,
    recall,
    spread,
    starting,
    writing,
)
from benchmarks.index.asked import Asked, Part

PARTS: dict[str, Part] = {
    "galleries": galleries.told,
    "spread": spread.told,
    "recall": recall.told,
    "codebooks": codebooks.told,
    "latency": latency.told,
    "people": people.told,
    "build": building.told,
    "start": starting.told,
    "changes": writing.told,
    "pairs": joins.told,
    "idle": idling.told,
    "curves": peers.ours,
    "hnswlib": peers.beside("hnswlib", 100_000),
    "usearch": peers.beside("usearch", 100_000),
    "pgvector": peers.beside("pgvector", 100_000),
}
"""In the order in which they run."""

LONG: dict[str, Part] = {
    "hnswlib-300k": peers.beside("hnswlib", 300_000, peers.SETTINGS[1:]),
    "usearch-300k": peers.beside("usearch", 300_000, peers.SETTINGS[1:]),
    "pgvector-300k": peers.beside("pgvector", 300_000, peers.SETTINGS[1:]),
    "large": large.told,
    "hnswlib-1m": peers.beside("hnswlib", 1_000_000, peers.SETTINGS[1:]),
    "usearch-1m": peers.beside("usearch", 1_000_000, peers.SETTINGS[1:]),
}
"""Those that take up to an hour."""


def main() -> None:
    """Run the part and write its figures down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=[*PARTS, *LONG])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true")
    asked = parser.parse_args()
    started, load = time.perf_counter(), os.getloadavg()[0]
    told = (PARTS | LONG)[asked.name](Asked(asked.folder, asked.quick, asked.long, asked.peer_python))
    document = {
        "quick": asked.quick,
        "seconds": round(time.perf_counter() - started, 1),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "notes": list(told.notes),
        "rows": [asdict(row) for row in told.rows],
    }
    asked.out.write_text(json.dumps(document, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main()
