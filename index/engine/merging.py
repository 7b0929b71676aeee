"""Merging: parts are written anew as one segment without their dead. Sealing is merging one frozen tail.

A file appears under its name when it is whole and on disk. Codes are taken over, not computed anew, where a part has them.
"""

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engine.codebook import Codes, encode
from index.engine.refine import CHUNK, chunks
from index.engine.segment import CODES, IDS, VECTORS
from index.halves import widened
from index.protocol import Half, Ids, Reached, unwatched


@dataclass(frozen=True, slots=True)
class Input:
    """A part to merge: its files' name and a bitmap of its dead rows, lowest bit first."""

    name: str
    dead: bytes


@dataclass(frozen=True, slots=True)
class Merge:
    """What to merge, and into what. Dead rows are left out."""

    folder: Path
    dimension: int
    inputs: tuple[Input, ...]
    output: str
    coded: bool
    """Whether the output gets codes."""

    def to_json(self) -> dict[str, Any]:
        """As :meth:`of_json` reads it."""
        inputs = [{**asdict(part), "dead": base64.b64encode(part.dead).decode()} for part in self.inputs]
        return {**asdict(self), "folder": str(self.folder), "inputs": inputs}

    @classmethod
    def of_json(cls, message: dict[str, Any]) -> "Merge":
        """Read what :meth:`to_json` wrote."""
        inputs = tuple(Input(part["name"], base64.b64decode(part["dead"])) for part in message["inputs"])
        return cls(**{**message, "folder": Path(message["folder"]), "inputs": inputs})


def merge(work: Merge, reached: Reached = unwatched) -> None:
    """Write the output's files. Run again after it was interrupted, it writes the same.

    Raises:
        OSError: A file cannot be read or written.
    """
    parts = [_Part(work.folder, part, work.dimension) for part in work.inputs]
    ids = np.concatenate([part.ids for part in parts])
    order = np.argsort(ids, kind="stable")
    part_of = np.concatenate([np.full(len(part.ids), n, np.int64) for n, part in enumerate(parts)])[order]
    row_of = np.concatenate([part.rows for part in parts])[order]
    out = work.folder / work.output
    write(out.with_suffix(VECTORS), _gathered(parts, part_of, row_of, work.dimension))
    reached("merged vectors written")
    if work.coded:
        write(out.with_suffix(CODES), _codes(parts, part_of, row_of, work.dimension))
        reached("merged codes written")
    write(out.with_suffix(IDS), [ids[order].astype("<i8")])  # Last: a segment is there when its ids are.


def code(folder: Path, name: str, dimension: int) -> None:
    """Write the codes of a segment that has none yet.

    Raises:
        OSError: A file cannot be read or written.
    """
    vectors = np.memmap(folder / f"{name}{VECTORS}", "<f2", "r").reshape(-1, dimension)
    write(folder / f"{name}{CODES}", (encode(widened(part)) for part in chunks(vectors)))


def write(file: Path, arrays: "Sequence[NDArray[Any]] | Iterator[NDArray[Any]]") -> None:
    """Write arrays one after another; the file appears under its name when all of it is on disk."""
    partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
    with partial.open("wb") as out:
        for array in arrays:
            out.write(np.ascontiguousarray(array).data)
        out.flush()
        os.fsync(out.fileno())
    partial.rename(file)


class _Part:
    """An input, opened: its living rows, their ids, and where vectors and codes are read from."""

    def __init__(self, folder: Path, part: Input, dimension: int) -> None:
        ids: Ids = np.fromfile(folder / f"{part.name}{IDS}", "<i8")
        dead = np.unpackbits(np.frombuffer(part.dead, np.uint8), count=len(ids), bitorder="little")
        self.rows = np.flatnonzero(dead == 0)
        self.ids = ids[self.rows]
        self.vectors = _mapped(folder / f"{part.name}{VECTORS}", "<f2", (len(ids), dimension))
        file = folder / f"{part.name}{CODES}"
        self.codes = _mapped(file, "u1", (len(ids), dimension // 8)) if file.exists() else None


def _mapped(file: Path, kind: str, shape: tuple[int, int]) -> NDArray[Any]:
    return np.memmap(file, kind, "r", shape=shape) if shape[0] else np.zeros(shape, kind)


def _gathered(parts: Sequence[_Part], part_of: Ids, row_of: Ids, dimension: int) -> Iterator[Half]:
    for first in range(0, len(row_of), CHUNK):
        part, rows = part_of[first : first + CHUNK], row_of[first : first + CHUNK]
        chunk = np.empty((len(rows), dimension), "<f2")
        for n in np.unique(part):
            chunk[part == n] = parts[n].vectors[rows[part == n]]
        yield chunk


def _codes(parts: Sequence[_Part], part_of: Ids, row_of: Ids, dimension: int) -> Iterator[Codes]:
    for first in range(0, len(row_of), CHUNK):
        part, rows = part_of[first : first + CHUNK], row_of[first : first + CHUNK]
        chunk = np.empty((len(rows), dimension // 8), np.uint8)
        for n in np.unique(part):
            mine, wanted = part == n, rows[part == n]
            held = parts[n].codes
            chunk[mine] = held[wanted] if held is not None else encode(widened(parts[n].vectors[wanted]))
        yield chunk
