"""The two films of the benchmark: one face and ten, of people who are enrolled from other photos than those shown."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import DATA
from benchmarks.running import Service
from services.cli.client import Client
from tests.browser import videos
from tests.browser.videos import IN_LFW, Actor, actor, standing, walking

LOOP_S = 6.0

_LFW = (
    "Silvio_Berlusconi",
    "Lindsay_Davenport",
    "David_Beckham",
    "Vicente_Fox",
    "Gray_Davis",
    "Jeremy_Greenstock",
    "Ricardo_Lagos",
    "Lance_Armstrong",
)
_GEORGIA_TECH = ("s7", "s12")
_TIGHT: videos.Box = (8, 20, 120, 165)
"""Where a face is in a crop of Georgia Tech, about."""
_ENROLLED = 3
"""Photos of each person; the next one is in the film."""


@dataclass(frozen=True, slots=True)
class Film:
    """A video and who is in it."""

    name: str
    file: Path
    names: Sequence[str]
    """Of the actors, in their order."""
    actors: Sequence[Actor]


def photos_of(name: str) -> list[Path]:
    """The photos of somebody of either data set, by name."""
    folder = DATA / "georgia_tech" / "cropped" / name if name in _GEORGIA_TECH else DATA / "lfw_dev" / name
    return sorted(folder.glob("*.jpg"))


def enrol(service: Service) -> None:
    """Enrol everybody who is in a film, from their first photos, and wait until they can be found."""
    instance = service.instance()
    with Client(str(instance["url"]), str(instance["api_key"])) as client:
        job = client.imports.open("films")
        for name in (*_LFW, *_GEORGIA_TECH):
            pictures = [(f"{name}-{path.name}", path.read_bytes()) for path in photos_of(name)[:_ENROLLED]]
            client.imports.upload(job, pictures, [{"person": name}] * len(pictures))
        client.imports.close(job)
        while client.jobs.show(job)["state"] not in {"done", "failed"}:
            time.sleep(0.1)


def one(folder: Path) -> Film:
    """One person who walks to and fro."""
    return _film(folder, "one face", _LFW[:1], [walking(110, 530, 230, 110)])


def ten(folder: Path) -> Film:
    """Ten people in two rows who sway."""
    ways = [standing(75 + 122 * (n % 5), 130 + 210 * (n // 5), 62, 14, 2 + n % 3) for n in range(10)]
    return _film(folder, "ten faces", (*_LFW, *_GEORGIA_TECH), ways)


def _film(folder: Path, name: str, people: Sequence[str], ways: Sequence[videos.Path2]) -> Film:
    shown = [
        actor(photos_of(person)[_ENROLLED], _TIGHT if person in _GEORGIA_TECH else IN_LFW, way)
        for person, way in zip(people, ways, strict=True)
    ]
    file = videos.write(folder / f"{name.replace(' ', '-')}.mjpeg", shown, LOOP_S, numbered=True)
    return Film(name, file, people, shown)
