"""From a photo's bytes to its embedding, on one core: how fast, how accurate, and beside facenet-pytorch and face_recognition.

    python -m benchmarks.pipeline [--json FILE] [--quick] [--peer-python PATH] [--dlib-python PATH] [--part speed|accuracy]

Every figure of speed is CPU time of one process on one core. Photo by photo each has its turn: once to warm up, as one is
that has work, then a few times, of which the least counts; a case is the median over its photos, a ratio the median of the
photos' ratios. Peers run in processes of their own, in their own virtual environments.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks import accuracy, chains, datasets, machine
from benchmarks.machine import Row
from benchmarks.peers import weights
from benchmarks.peers.process import Peer

_REPEATS = 5
_LONG_S = 1.0
"""A photo that takes a peer longer is given to it once after the warm-up."""

Timed = Callable[[Path], tuple[float, bool]]
"""Goes from a photo's bytes to a vector: CPU seconds, and whether there was a face."""


def main() -> None:
    """Run what was asked for."""
    parser = machine.parser(__doc__)
    parser.add_argument("--peer-python", type=Path, metavar="PATH", help="Python with facenet-pytorch and torch")
    parser.add_argument("--dlib-python", type=Path, metavar="PATH", help="Python with face_recognition and dlib")
    parser.add_argument("--part", choices=["speed", "accuracy"], help="one of the two; both by default")
    asked = parser.parse_args()
    described = machine.describe()
    core = machine.pin()
    notes = [f"one process on core {core}, one thread; milliseconds are CPU time"]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        peers = list(start_peers(stack, Path(scratch), asked.peer_python, asked.dlib_python, notes))
        if asked.part != "accuracy":
            rows += speed(Path(scratch), peers, quick=asked.quick)
        if asked.part != "speed":
            rows += accuracy.rows(peers, people=40 if asked.quick else None)
    machine.finish(rows, asked.json, machine=described, notes=notes)


def start_peers(
    stack: contextlib.ExitStack, scratch: Path, facenet: Path | None, dlib: Path | None, notes: list[str]
) -> Iterator[Peer]:
    """Those peers whose Python was named and is there; *notes* takes which versions, and which are absent."""
    if facenet is not None and facenet.exists():
        weights.write(scratch / "casia.npz")
        arguments = [str(scratch / "casia.npz")]
        yield stack.enter_context(Peer("facenet-pytorch", facenet, "facenet_pytorch_chain.py", arguments, notes))
    else:
        notes.append("facenet-pytorch is absent: no --peer-python with it was given")
    if dlib is not None and dlib.exists():
        yield stack.enter_context(Peer("face_recognition", dlib, "face_recognition_chain.py", [], notes))
    else:
        notes.append("face_recognition is absent: no --dlib-python with it was given")


def speed(scratch: Path, peers: Sequence[Peer], *, quick: bool) -> list[Row]:
    """One row a case, chain and peer; without a peer one row a case and chain."""
    ours = {chain.name: _ours(chain) for chain in chains.chains(chains.bundle())}
    theirs = {peer.name: _theirs(peer) for peer in peers}
    rows: list[Row] = []
    for case, photos in datasets.speed_cases(scratch, most=3 if quick else 24).items():
        least, found = measure({**ours, **theirs}, photos)
        for name in ours:
            value = float(np.median(least[name])) * 1e3
            if not peers:
                rows.append(Row(case, f"ms, {name}", value))
            for peer in theirs:
                ratio = float(np.median(least[peer] / least[name]))
                rows.append(Row(case, f"ms, {name}", value, peer, float(np.median(least[peer])) * 1e3, ratio))
        seen = f"photos of {len(photos)} with a face"
        rows += [Row(case, f"{seen}, {name}", float(found[name])) for name in (*ours, *theirs)]
    return rows


def measure(timed: Mapping[str, Timed], photos: Sequence[Path]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The least CPU seconds of each for each photo, all taking turns, and in how many photos each found a face."""
    least = {name: np.full(len(photos), np.inf) for name in timed}
    found = dict.fromkeys(timed, 0)
    for place, photo in enumerate(photos):
        for name, run in timed.items():
            took_s, there = run(photo)
            found[name] += there
            repeats = _REPEATS if took_s < _LONG_S else 1
            least[name][place] = min(run(photo)[0] for _ in range(repeats))
    return least, found


def _ours(chain: chains.Chain) -> Timed:
    def run(photo: Path) -> tuple[float, bool]:
        data = photo.read_bytes()
        start = time.process_time()
        vector = chain.vector(data)
        return time.process_time() - start, vector is not None

    return run


def _theirs(peer: Peer) -> Timed:
    def run(photo: Path) -> tuple[float, bool]:
        answer = peer.ask(photo)
        return answer.cpu_s, answer.vector is not None

    return run


if __name__ == "__main__":
    main()
