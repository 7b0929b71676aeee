"""Joining: a collection's vectors compared all with all, in a process of its own at nice 19. ``python -m index.joining``.

Beside searches only such a process is harmless: a busy thread of the searcher's, or its linear algebra, would take the
core that searches need. It reads what to compare from standard input, vectors as they come, and writes what it found to
standard output. It ends when its input does, which is when its parent is gone, however that came about.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from index import doubts, grouping, pairs
from index.doubts import Doubts
from index.grouping import Groups
from index.pairs import Pairs
from index.protocol import Half
from services.errors import ColegaError, InvalidRequest, Unavailable

MOST_VECTORS = 500_000
"""A gigabyte of them, and minutes of comparing."""

_MOST_PAIRS = 20_000_000
_MOST_LISTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Stream:
    """Vectors that are read as they are sent, so that they are in the memory of one process only."""

    count: int
    blocks: Iterable[Half]
    """(n, d) float16 each, *count* rows in all."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Groups of look-alikes with the person nearest to each."""

    groups: Groups
    people: NDArray[np.int32]
    """(g, CANDIDATES) int32 places among the people that were sent, nearest first, -1 where there were no more."""
    similarities: NDArray[np.float32]
    """(g, CANDIDATES) float32 cosines of the group's mean with their template."""


class JoiningProcess:
    """Has one join done after the other, each by a new process. :meth:`close` from any thread, the rest from one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def clusters(self, faces: Stream, people: Stream, dimension: int, threshold: float) -> Clusters:
        """Groups of *faces* with a mean similarity of *threshold* or more, and the nearest of *people* to each.

        Raises:
            InvalidRequest: There are more vectors, or more pairs, than are compared at once.
            Unavailable: The process has died.
        """
        members, starts, within, nearest, similarities = self._ask("clusters", [faces, people], dimension, threshold)
        shape = (-1, grouping.CANDIDATES)
        return Clusters(Groups(members, starts, within), nearest.reshape(shape), similarities.reshape(shape))

    def pairs(self, people: Stream, dimension: int, threshold: float) -> Pairs:
        """Pairs of *people* with a similarity of *threshold* or more, the most similar first.

        Raises:
            InvalidRequest: There are more vectors, or more pairs, than are compared at once.
            Unavailable: The process has died.
        """
        return Pairs(*self._ask("pairs", [people], dimension, threshold))

    def doubts(self, faces: Stream, starts: NDArray[np.integer], dimension: int, threshold: float) -> Doubts:
        """The *faces* that are perhaps not of whom they are; one person's follow the other's, from *starts* on.

        Raises:
            InvalidRequest: There are more vectors than are compared at once.
            Unavailable: The process has died.
        """
        return Doubts(*self._ask("doubts", [faces], dimension, threshold, starts.tolist()))

    def close(self) -> None:
        """End what is under way; it raises :class:`Unavailable` where it was asked for."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()

    def _ask(
        self, what: str, streams: list[Stream], dimension: int, threshold: float, starts: list[int] | None = None
    ) -> list[NDArray[Any]]:
        counts = [stream.count for stream in streams]
        if max(counts) > MOST_VECTORS:
            raise InvalidRequest(f"{max(counts):,} are too many to be compared at once; {MOST_VECTORS:,} may be.")
        with _started() as self._process:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            if self._closed:
                self._process.kill()
            try:
                asked = {
                    "what": what,
                    "counts": counts,
                    "dimension": dimension,
                    "threshold": threshold,
                    "starts": starts,
                }
                self._process.stdin.write(json.dumps(asked).encode() + b"\n")
                for stream in streams:
                    for block in stream.blocks:
                        self._process.stdin.write(np.ascontiguousarray(block, "<f2").data)
                self._process.stdin.flush()  # And stays open: its end is how the process learns of ours.
                return _read(self._process.stdout)
            except (OSError, ValueError) as error:
                self._process.kill()
                raise Unavailable("What compares faces with each other has ended early. Try again.") from error
            except BaseException:
                self._process.kill()
                raise
            finally:
                with suppress(OSError):
                    self._process.stdin.close()


def _started() -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "index.joining"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _read(stream: IO[bytes]) -> list[NDArray[Any]]:
    """What the process answers.

    Raises:
        ValueError: It is cut short.
        InvalidRequest: It is a refusal.
    """
    told = json.loads(stream.readline())
    if "refused" in told:
        raise InvalidRequest(told["refused"])
    return [np.frombuffer(_exactly(stream, count * np.dtype(kind).itemsize), kind) for kind, count in told["arrays"]]


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise ValueError(f"{len(data)} of {count} bytes came.")
    return data


def _join(what: str, streams: list[Half], threshold: float, starts: list[int]) -> list[NDArray[Any]]:
    if what == "doubts":
        doubted = doubts.doubts(streams[0], np.array(starts), threshold, most=_MOST_LISTED)
        return [doubted.faces, doubted.own, doubted.others, doubted.similarities]
    if what == "pairs":
        found = pairs.pairs_above(streams[0], threshold, most=_MOST_LISTED)
        order = np.argsort(-found.similarities, kind="stable")
        return [found.first[order], found.second[order], found.similarities[order]]
    faces, people = streams
    groups = grouping.grouped(faces, pairs.pairs_above(faces, threshold, most=_MOST_PAIRS), threshold)
    nearest = grouping.nearest(groups, faces, people)
    return [groups.members, groups.starts, groups.similarities, *(each.ravel() for each in nearest)]


def _end_with(stream: IO[bytes]) -> None:
    stream.read(1)
    os._exit(0)


def main() -> None:
    """One join, from standard input to standard output."""
    os.nice(19)
    asked = json.loads(sys.stdin.buffer.readline())
    row = 2 * asked["dimension"]
    try:
        streams = [
            np.frombuffer(_exactly(sys.stdin.buffer, count * row), "<f2").reshape(count, asked["dimension"])
            for count in asked["counts"]
        ]
    except ValueError:
        return
    Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        arrays = _join(asked["what"], streams, asked["threshold"], asked["starts"])
    except ColegaError as error:
        sys.stdout.buffer.write(json.dumps({"refused": str(error)}).encode() + b"\n")
    else:
        header = {"arrays": [[array.dtype.str, len(array)] for array in arrays]}
        sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
        for array in arrays:
            sys.stdout.buffer.write(array.tobytes())
    sys.stdout.buffer.flush()
    os._exit(0)  # The thread that watches the input would keep an ordinary end waiting.


if __name__ == "__main__":
    main()
