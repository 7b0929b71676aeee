"""Receipts: what an erasure has removed, and what it will have removed by when, in words that stay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.catalog.tables.privacy import Erasure

Place = Literal["rows", "search", "traces", "objects", "indexes", "snapshots", "store", "catalog", "ledger"]

AT_ONCE: tuple[Place, ...] = ("rows", "search")
"""What is gone when the answer comes."""

LATER: tuple[Place, ...] = ("traces", "objects", "indexes", "snapshots", "store", "catalog", "ledger")
"""What is gone by the time that the receipt names, in the order that it is seen to."""

SENTENCES: Mapping[Place, str] = {
    "rows": "name, faces and embeddings in the catalog",
    "search": "whatever could be found by a search that begins now",
    "traces": "names of files, answers kept for repeated requests, reports of evaluations",
    "objects": "photos, thumbnails and chips in the photo store",
    "indexes": "the searchers' files: segments and local snapshots",
    "snapshots": "snapshots of the index in the photo store",
    "store": "deleted bytes in the photo store's volumes",
    "catalog": "deleted rows in the catalog's own files",
    "ledger": "written down outside the catalog, so that a restore repeats it",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One place that whoever was erased was in."""

    what: Place
    gone_at: float | None
    """Since when nothing is left there; None: it may be."""
    left: str
    """What is in the way, as of the last look; empty before it, and where nothing is."""


def lines(row: Erasure) -> list[Line]:
    """What the receipt says of each place."""
    found: Mapping[str, Any] = row.findings or {}
    later = [Line(place, found.get(place, {}).get("since"), found.get(place, {}).get("left", "")) for place in LATER]
    return [*(Line(place, row.asked_at, "") for place in AT_ONCE), *later]
