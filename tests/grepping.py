"""Looking for somebody's bytes in every file of a folder, as a thief would who has taken its disk."""

import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path

WINDOW = 64
"""So many bytes in a row of something compressed, or of numbers, are nobody else's."""
_WINDOWS = 12


def windows(data: bytes) -> list[bytes]:
    """Pieces of *data* from all over it, but for its beginning, where all files of a format are alike."""
    first = min(len(data) // 3, 4096)
    step = max((len(data) - first - WINDOW) // _WINDOWS, 1)
    return [data[start : start + WINDOW] for start in range(first, len(data) - WINDOW + 1, step)][:_WINDOWS] or [data]


def grep(folders: Iterable[Path], needles: Mapping[str, Iterable[bytes]]) -> dict[str, set[str]]:
    """By needle, the first folders below *folders* in whose files any piece of it lies; those that lie nowhere are left out."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_symlink() or not file.is_file():
                continue
            place = file.relative_to(folder).parts[0]
            for name in _in(file, needles):
                found.setdefault(name, set()).add(place)
    return found


def _in(file: Path, needles: Mapping[str, Iterable[bytes]]) -> list[str]:
    try:
        with file.open("rb") as opened:
            if not file.stat().st_size:
                return []
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as held:
                return [name for name, pieces in needles.items() if any(held.find(piece) >= 0 for piece in pieces)]
    except (FileNotFoundError, ValueError):
        return []  # It was removed, or cut off, while it was looked at.
