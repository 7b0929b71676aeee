"""The device that scans segments: the processor, by their codes, or the GPUs, by their vectors.

Which it is, ``COLEGA_INDEX_DEVICE`` says. With ``cuda`` nothing is done by the processor in silence: where a GPU or a
FAISS that can use one is missing the searcher does not start, and a segment that finds no room is an error.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, Protocol
from weakref import WeakSet, finalize

import faiss
import numpy as np

from index.engine.codebook import can_code
from index.engine.compaction import Sizes
from index.engine.flat import RULES, FlatScan, Maker, Precision, Turn, has_cuvs, on_gpu
from index.engine.scan import CodeScan, Scan
from index.engine.segment import CODES, Segment
from index.protocol import Half
from services.errors import CannotStart, Unavailable

Wanted = Literal["auto", "cpu", "cuda"]

_MOST_SELECTED, _MOST_SELECTED_BY_CUVS = 2048, 16_384
_BYTES: dict[Precision, int] = {"fp16": 2, "int8": 1}
_GPU_SIZES = Sizes(segment=524_288, dead=1000)
"""Large segments are few launches; more dead would have to be fetched for nothing at every search."""
_GATHER_S = 0.002


class Device(Protocol):
    """What makes segments scannable."""

    @property
    def name(self) -> str:
        """What ``status`` calls it."""

    @property
    def sizes(self) -> Sizes:
        """When segments are sealed and merged for it."""

    @property
    def gather_s(self) -> float:
        """How long it pays to wait for more queries once one has arrived."""

    @property
    def by_codes(self) -> bool:
        """Whether it scans by codes, so that a merge is to make them."""

    def lacks_codes(self, segment: Segment, folder: Path) -> bool:
        """Whether codes must be made for a segment before it can be scanned."""

    def begin(self, segment: Segment, folder: Path) -> "Future[Scan | None]":
        """Make a segment ready to be scanned, beside the caller where that takes long. None: it lacks codes.

        The future fails with Unavailable where the device was asked for and has no room.
        """


class Processor:
    """The CPU: a segment is scanned by its codes."""

    name = "cpu"
    sizes = Sizes()
    gather_s = 0.0
    by_codes = True

    def lacks_codes(self, segment: Segment, folder: Path) -> bool:
        """See :class:`Device`."""
        return not (folder / f"{segment.name}{CODES}").exists()

    def begin(self, segment: Segment, folder: Path) -> "Future[Scan | None]":
        """See :class:`Device`. Milliseconds, in the caller's thread."""
        ready: Future[Scan | None] = Future()
        ready.set_result(_by_codes(segment, folder))
        return ready


class Card:
    """One GPU, or what stands for it: where its indexes are made, whose turn it is, and how many bytes it holds."""

    def __init__(self, name: str, made: Maker, *, most: int, budget_bytes: int | None = None) -> None:
        """*most* rows are selected a query; *budget_bytes* are used at most, None: as many as there are."""
        self.name = name
        self.used_bytes = 0
        self._made = made
        self._most = most
        self._budget_bytes = budget_bytes
        self._turn = Turn()

    def scan(self, vectors: Half, precision: Precision) -> FlatScan:
        """The vectors of a segment, taken to the card.

        Raises:
            MemoryError: There is no room for them; it says why.
        """
        size = vectors.size * _BYTES[precision]
        if self._budget_bytes is not None and self.used_bytes + size > self._budget_bytes:
            raise MemoryError(f"{self.name} holds {self.used_bytes >> 20:,} MB of {self._budget_bytes >> 20:,}")
        try:
            index = self._made(vectors, precision, self._turn)
        except RuntimeError as error:
            said = str(error).rpartition("Error: ")[2].splitlines()
            raise MemoryError(f"{self.name}: {said[0] if said else error}") from None
        scan = FlatScan(index, vectors, RULES[precision], most=self._most, turn=self._turn)
        self.used_bytes += size
        finalize(scan, self._less, size).atexit = False
        return scan

    def _less(self, size: int) -> None:
        self.used_bytes -= size


class Cards:
    """GPUs: a segment is on the one that holds the least. Where none has room the processor scans it, or it is an error."""

    sizes = _GPU_SIZES
    gather_s = _GATHER_S
    by_codes = False

    def __init__(self, cards: Sequence[Card], precision: Precision, *, strict: bool) -> None:
        """*strict*: a segment without room is an error."""
        self._cards = cards
        self._precision: Precision = precision
        self._strict = strict
        self._refused: WeakSet[Segment] = WeakSet()
        self._thread = ThreadPoolExecutor(1, "to-the-gpu")

    @property
    def name(self) -> str:
        """See :class:`Device`."""
        held = (f"{card.name} ({card.used_bytes >> 20:,} MB)" for card in self._cards)
        return f"{', '.join(held)}, {self._precision}"

    @property
    def used_bytes(self) -> int:
        """What the vectors take of all cards."""
        return sum(card.used_bytes for card in self._cards)

    def lacks_codes(self, segment: Segment, folder: Path) -> bool:
        """See :class:`Device`."""
        is_codable = can_code(segment.vectors.shape[1])
        return is_codable and segment in self._refused and not (folder / f"{segment.name}{CODES}").exists()

    def begin(self, segment: Segment, folder: Path) -> "Future[Scan | None]":
        """See :class:`Device`. About a second for a large segment, in a thread of its own."""
        return self._thread.submit(self._scan, segment, folder)

    def _scan(self, segment: Segment, folder: Path) -> Scan | None:
        reasons = []
        for card in sorted(self._cards, key=lambda card: card.used_bytes):
            try:
                return card.scan(segment.vectors, self._precision)
            except MemoryError as error:
                reasons.append(str(error))
        if self._strict:
            raise Unavailable(_no_room(len(segment), self._precision, reasons))
        if segment not in self._refused:
            self._refused.add(segment)
            logging.getLogger(__name__).warning(
                "searched on the CPU: %s", _no_room(len(segment), self._precision, reasons)
            )
        return _by_codes(segment, folder)


def chosen(wanted: Wanted, precision: Precision, *, budget_mb: int = 0) -> Device:
    """The device that was asked for; ``auto`` is the GPU where there is one that FAISS can use.

    Args:
        wanted: Where to search.
        precision: How a GPU keeps vectors.
        budget_mb: Memory of each GPU to use at most; 0: as much as there is.

    Raises:
        CannotStart: ``cuda`` was asked for and cannot be had.
    """
    if wanted == "cpu":
        return Processor()
    missing = _what_is_missing()
    if missing:
        if wanted == "cuda":
            raise CannotStart(f"COLEGA_INDEX_DEVICE=cuda, but {missing} Or search on the CPU: COLEGA_INDEX_DEVICE=cpu.")
        return Processor()
    most = _MOST_SELECTED_BY_CUVS if has_cuvs() else _MOST_SELECTED
    budget = budget_mb << 20 or None
    cards = [
        Card(f"cuda:{number}", on_gpu(faiss.StandardGpuResources(), number), most=most, budget_bytes=budget)
        for number in range(faiss.get_num_gpus())
    ]
    return Cards(cards, precision, strict=wanted == "cuda")


def _what_is_missing() -> str:
    """What stands between FAISS and a GPU, as the rest of a sentence; empty where nothing does."""
    if not hasattr(faiss, "StandardGpuResources"):
        return (
            f"the FAISS {faiss.__version__} installed here is built for the CPU only: "
            "pip uninstall faiss-cpu, then pip install 'colega[gpu]'."
        )
    try:
        found = faiss.get_num_gpus()
    except RuntimeError as error:
        return f"FAISS {faiss.__version__} cannot speak to the GPU: {error} See that the NVIDIA driver is loaded."
    if not found:
        return (
            f"FAISS {faiss.__version__} finds no GPU. See that nvidia-smi lists one, and that the driver "
            "is new enough for CUDA 12 and the container was given it."
        )
    return ""


def _by_codes(segment: Segment, folder: Path) -> Scan | None:
    file = folder / f"{segment.name}{CODES}"
    if not file.exists():
        return None
    rows, dimension = segment.vectors.shape
    return CodeScan(np.fromfile(file, np.uint8).reshape(rows, dimension // 8), dimension)


def _no_room(rows: int, precision: Precision, reasons: Sequence[str]) -> str:
    smaller = "COLEGA_INDEX_GPU_VECTORS=int8, which needs half of it, " if precision == "fp16" else ""
    return (
        f"No GPU has room for {rows:,} more faces ({'; '.join(reasons)}). What helps: {smaller}fewer collections held at "
        "once (COLEGA_INDEX_PINNED), another GPU, or COLEGA_INDEX_DEVICE=auto, which searches the rest on the CPU."
    )
