"""Labelled photos as galleries: a folder a person, or a list of pairs."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import DegenerateBox, InvalidRequest, NotFound, PhotoRefused
from services.rejections import Rejection
from services.sources import entries
from workers.evaluation import pair_files
from workers.evaluation.pair_files import Line
from workers.faces import detect, pipeline
from workers.faces.detect import Detector, Mode
from workers.faces.values import Chip
from workers.galleries import ChipFile, Gallery, ListedPairs, Told, untold

_NAMED = 5
"""So many of what is missing an error names; it counts the rest."""


@dataclass(slots=True)
class _Looked:
    """What was found in the photos looked at so far."""

    chips: ChipFile = field(default_factory=ChipFile)
    people: list[int] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)
    undetected: list[tuple[str, int]] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def gallery(self, names: Sequence[str]) -> Gallery:
        return Gallery(
            self.chips,
            np.array(self.people, np.int64),
            names,
            self.photos,
            [photo for photo, _ in self.undetected],
            np.array([person for _, person in self.undetected], np.int64),
            self.unreadable,
        )


def of_directory(directory: Path, detector: Detector, *, max_pixels: int, told: Told = untold) -> Gallery:
    """The photos of a directory in which every person has a folder, called as they are.

    The folder right above a photo counts, wherever it lies below *directory*; names are compared as Unicode NFC. Files that
    lie in no folder belong to nobody and are passed over, as are hidden ones and those that operating systems leave. Of
    several faces in a photo the largest central one is taken, as an import does.

    Raises:
        NotFound: There is no such directory.
        InvalidRequest: There is no folder in it, or no photo that can be read.
    """
    if not directory.is_dir():
        raise NotFound("directory", directory)
    by_person: dict[str, list[Path]] = defaultdict(list)
    for path in _files(directory):
        if path.parent != directory:
            by_person[unicodedata.normalize("NFC", path.parent.name).strip()].append(path)
    if not by_person:
        raise InvalidRequest(
            f"{directory} has no folders with photos. Put each person's photos into a folder called as the person."
        )
    names, looked = sorted(by_person), _Looked()
    total, done = sum(len(mine) for mine in by_person.values()), 0
    for number, name in enumerate(names):
        for path in by_person[name]:
            _look(path, path.relative_to(directory).as_posix(), number, detector, max_pixels, looked)
            done += 1
            told(done, total)
    if not looked.photos and not looked.undetected:
        raise InvalidRequest(
            f"None of the {total} files in {directory} is a photo that can be read: {_reasons(looked)}."
        )
    return looked.gallery(names)


def of_pairs(
    file: Path, directory: Path | None, detector: Detector, *, max_pixels: int, told: Told = untold
) -> tuple[Gallery, ListedPairs]:
    """The photos that a pair file names, each once, and its pairs.

    Args:
        file: CSV or LFW's format (:mod:`workers.evaluation.pair_files`).
        directory: What its paths are relative to; None for the folder that the file lies in.
        detector: Finds the faces.
        max_pixels: Photos of more are refused.
        told: Told of every photo.

    Raises:
        NotFound: There is no such file or directory.
        InvalidRequest: The file is malformed, or names photos that are not there.
    """
    home = file.parent if directory is None else directory
    if not home.is_dir():
        raise NotFound("directory", home)
    lines = pair_files.read(file)
    paths = _paths(file, home, lines)
    people, names, identified = _people(lines, paths)
    order = sorted(paths, key=lambda photo: (people[photo], photo))
    looked = _Looked()
    for done, photo in enumerate(order, start=1):
        _look(paths[photo], photo, people[photo], detector, max_pixels, looked)
        told(done, len(order))
    if not looked.photos:
        raise InvalidRequest(f"No face was found in any of the {len(order)} photos that {file} names.")
    rows = {photo: row for row, photo in enumerate(looked.photos)}
    kept = [line for line in lines if line.a not in looked.unreadable and line.b not in looked.unreadable]
    return looked.gallery(names), ListedPairs(
        np.array([rows.get(line.a, -1) for line in kept], np.int64),
        np.array([rows.get(line.b, -1) for line in kept], np.int64),
        np.array([line.same for line in kept], np.bool_),
        _folds(kept),
        [(line.a, line.b) for line in kept],
        identified,
    )


def _files(directory: Path) -> Iterator[Path]:
    """The files below *directory* in the order of their paths, through links too, but for hidden and system files."""
    seen: set[str] = set()
    found: list[Path] = []
    for folder, below, files in os.walk(directory, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # A link that leads back up.
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if entries.judged(name) is None]
        found += [Path(folder) / name for name in files if entries.judged(name) is None]
    yield from sorted(found)


def _look(path: Path, name: str, person: int, detector: Detector, max_pixels: int, looked: _Looked) -> None:
    """Add what one photo shows to *looked*."""
    try:
        reading = pipeline.read(detector, path.read_bytes(), Mode.BALANCED, max_pixels=max_pixels)
    except PhotoRefused as error:
        looked.unreadable[name] = error.reason.value
        return
    except OSError:
        looked.unreadable[name] = Rejection.MISSING_FILE.value
        return
    chip: Chip | None = None
    if reading.detections:
        try:
            chip = reading.face(detect.largest_central(reading.detections, reading.width, reading.height)).chip
        except DegenerateBox:
            chip = None
    if chip is None:
        looked.undetected.append((name, person))
        return
    looked.chips.append(chip)
    looked.people.append(person)
    looked.photos.append(name)


def _reasons(looked: _Looked) -> str:
    return ", ".join(sorted(set(looked.unreadable.values())))


def _paths(file: Path, home: Path, lines: Iterable[Line]) -> dict[str, Path]:
    """Where each photo that is named lies, by the name it is given."""
    paths: dict[str, Path] = {}
    missing: list[str] = []
    for line in lines:
        for name in (line.a, line.b):
            if name in paths:
                continue
            found = _existing(home, name)
            if found is None:
                missing.append(f"{name} (line {line.number})")
            else:
                paths[name] = found
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InvalidRequest(f"{file} names photos that are not in {home}: {', '.join(missing[:_NAMED])}{more}.")
    return paths


def _existing(home: Path, name: str) -> Path | None:
    """The file called *name*: as written, in either Unicode form, or with backslashes read as slashes."""
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    for tried in dict.fromkeys([name, *forms, name.replace("\\", "/")]):
        try:
            if (home / tried).is_file():
                return home / tried
        except (OSError, ValueError):
            continue
    return None


def _people(lines: Sequence[Line], paths: Iterable[str]) -> tuple[dict[str, int], list[str], bool]:
    """Whom each photo shows, the people's names, and whether they are people and not just what mated pairs connect.

    The folders name the people where every label agrees with them.
    """
    folders = {photo: photo.replace("\\", "/").rpartition("/")[0] for photo in paths}
    identified = all(bool(folders[line.a]) and (folders[line.a] == folders[line.b]) == line.same for line in lines)
    if not identified:
        folders = _connected(lines, folders)
    keys = sorted(set(folders.values()))
    numbers = {key: number for number, key in enumerate(keys)}
    names = [unicodedata.normalize("NFC", key.rpartition("/")[2]) if identified else key for key in keys]
    return {photo: numbers[key] for photo, key in folders.items()}, names, identified


def _connected(lines: Iterable[Line], photos: Iterable[str]) -> dict[str, str]:
    """For every photo, the first by name of those that mated pairs connect it with."""
    parent = {photo: photo for photo in photos}

    def root(photo: str) -> str:
        while parent[photo] != photo:
            parent[photo] = parent[parent[photo]]
            photo = parent[photo]
        return photo

    for line in lines:
        if line.same:
            first, second = sorted((root(line.a), root(line.b)))
            parent[second] = first
    return {photo: root(photo) for photo in parent}


def _folds(lines: Sequence[Line]) -> NDArray[np.int64] | None:
    given = sorted({line.fold for line in lines if line.fold is not None})
    if len(given) < 2 or any(line.fold is None for line in lines):
        return None
    return np.array([given.index(line.fold or "") for line in lines], np.int64)
