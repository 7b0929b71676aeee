"""Pairing: training what judges pairs of faces: a head on a model's vectors, or a network from scratch."""

import contextlib
import errno
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from services.errors import DiskFull, InvalidRequest
from workers import galleries, labelled
from workers.faces.crops import StretchedBox
from workers.galleries import Gallery, ListedPairs
from workers.models import siamese
from workers.models.heads import Head
from workers.models.siamese_layers import CROP_PX, WINDOW_PX
from workers.training import datasets, loop, networks, siamese_head, siamese_network
from workers.training.siamese_pairs import OfAList, PairsOfPeople, Photos, Rows, among
from workers.training.siamese_recipe import HeadRecipe, ScratchRecipe
from workers.training.siamese_scratch import Scratch, judged
from workers.workbench import Workbench

HEAD = "head.json"
_MOST_PHOTOS = 20_000
"""Crops that are kept in memory for a network from scratch: 660 MB."""


def train(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Train a Siamese network.

    Args:
        wanted: ``network``: ``embedding`` (a head on the vectors of ``base``) or ``scratch``. ``pairs``: a CSV of pairs to
            learn from, whose paths are relative to ``dataset`` or to its own folder; without it the pairs are those of the
            bench's gallery. ``recipe``: fields of :class:`HeadRecipe` or :class:`ScratchRecipe`. ``name``: of a network.
            ``device``: ``auto``, ``cpu`` or ``cuda``.
        bench: What is at hand. Keeps ``head.json``, or ``siamese.json`` and ``weights.safetensors``.

    Returns:
        ``network``, ``faces`` (counts), ``held_out`` (figures on people that were kept apart), ``lines`` (the same for people
        to read), and ``head`` with ``base``, or ``digest`` with ``course``.

    Raises:
        InvalidRequest, InvalidTraining, InvalidModel, NotFound: What was asked cannot be done, and why.
        TrainingDiverged, DiskFull, Cancelled: It ended before its end; the last checkpoint stays.
    """
    network = wanted.get("network") or "embedding"
    if network == "embedding":
        return _embedding(wanted, bench)
    if network == "scratch":
        return _scratch(wanted, bench)
    raise InvalidRequest(f"There is no Siamese network {network!r}; there are embedding and scratch.")


def _embedding(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    recipe = HeadRecipe.of(wanted.get("recipe") or {})
    bundle = bench.bundle(wanted.get("base"))
    gallery, listed = _faces(wanted, bench)

    def told(stage: str, done: int, total: int) -> None:
        bench.tell({"stage": stage, "done": done, "total": total})

    vectors = galleries.embedded(gallery, bundle.embedder(), lambda done, total: told("vectors", done, total))
    trained = siamese_head.train(
        vectors,
        gallery.people,
        seed=recipe.seed,
        listed=listed,
        told=lambda done, total: told("regressions", done, total),
    )
    faces = _counts(gallery)
    trained_on = {
        "model": bundle.digest,
        "faces": faces,
        "pairs": trained.pairs,
        "strength": trained.strength,
        "seed": recipe.seed,
        "held_out": trained.figures,
    }
    head = Head(trained.head.weights, trained.head.bias, trained_on).as_json()
    with _written(bench) as folder:
        (folder / HEAD).write_text(json.dumps(head, indent=1) + "\n", "utf-8")
        bench.keep(HEAD, folder / HEAD)
    lines = [
        f"Learnt from {trained.pairs:,} pairs of {faces['photos']:,} photos of {faces['people']:,} people.",
        *(
            f"{figure} on people held out, each once: {100 * said['head']:.2f}% by the head, "
            f"{100 * said['cosine']:.2f}% by the cosine."
            for figure, said in trained.figures.items()
        ),
    ]
    base = {"name": bundle.name, "digest": bundle.digest}
    return {
        "method": "siamese",
        "network": "embedding",
        "base": base,
        "head": head,
        "faces": faces,
        "held_out": trained.figures,
        "lines": lines,
    }


def _scratch(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    recipe = ScratchRecipe.of(wanted.get("recipe") or {})
    device = networks.device_of(str(wanted.get("device", "auto"))).type
    gallery, listed = _faces(wanted, bench)
    rows = (
        datasets.drawn(gallery.people, _MOST_PHOTOS, recipe.seed) if listed is None else np.arange(len(gallery.chips))
    )
    people, photos = gallery.people[rows], _crops(gallery, rows, bench)
    parts = datasets.parts(people, recipe.held_out, recipe.seed)
    pairs = (
        PairsOfPeople(
            people[parts.learnt], people_a_batch=recipe.people_a_batch, photos_a_person=recipe.photos_a_person
        )
        if listed is None
        else OfAList(among(listed, parts.learnt), pairs_a_batch=recipe.people_a_batch * recipe.photos_a_person)
    )
    held_out = (photos[parts.held_out], people[parts.held_out]) if len(parts.held_out) else None
    subject = Scratch(photos[parts.learnt], pairs, held_out, recipe, seed=recipe.seed, device=device)
    course = loop.run(subject, recipe.pace(), bench.folder / "checkpoints", bench.tell)
    bench.tell({"stage": "writing the network"})
    figures = None if held_out is None else judged(subject.network, *held_out)
    faces = {**_counts(gallery), "learnt": len(parts.learnt), "held_out": len(parts.held_out)}
    name = str(wanted.get("name") or "siamese")
    layers = siamese_network.folded(subject.network)
    trained_on = {"faces": faces, "recipe": recipe.as_json(), "held_out": figures}
    with _written(bench) as folder:
        made = siamese.write(folder / name, layers, name=name, licence="", trained_on=trained_on)
        for file in (siamese.WEIGHTS, siamese.DESCRIPTION):
            bench.keep(file, folder / name / file)
    how = f"{course.step:,} steps in {course.seconds:.0f} s, ended by {course.ended}; kept is step {course.best_step:,}"
    lines = [
        f"Learnt from {len(parts.learnt):,} photos: {how}.",
        *(
            ["Too few people have two photos to hold any out, so nothing says how good it is: evaluate it."]
            if figures is None
            else [f"{figure} on people held out: {100 * said:.2f}%." for figure, said in figures.items()]
        ),
        f"Evaluate it on other people: colega evaluate --model DIR, the folder with {siamese.DESCRIPTION}",
    ]
    return {
        "method": "siamese",
        "network": "scratch",
        "digest": made.digest,
        "faces": faces,
        "held_out": figures,
        "course": {
            "ended": course.ended,
            "steps": course.step,
            "kept_step": course.best_step,
            "seconds": course.seconds,
        },
        "lines": lines,
    }


def _faces(wanted: Mapping[str, Any], bench: Workbench) -> tuple[Gallery, ListedPairs | None]:
    """The faces to learn from, and the list of their pairs where there is one."""
    if (pairs := wanted.get("pairs")) is None:
        return bench.gallery(), None
    directory = wanted.get("dataset")
    return labelled.of_pairs(
        Path(pairs),
        None if directory is None else Path(directory),
        bench.detector(),
        max_pixels=bench.max_pixels,
        told=lambda done, total: bench.tell({"stage": "photos", "done": done, "total": total}),
    )


def _crops(gallery: Gallery, rows: Rows, bench: Workbench) -> Photos:
    crop = StretchedBox(CROP_PX, WINDOW_PX)
    photos = np.empty((len(rows), CROP_PX, CROP_PX, 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        photos[place] = crop.cut(gallery.chips[row])
        if place % 100 == 0:
            bench.tell({"stage": "crops", "done": place, "total": len(rows)})
    return photos


def _counts(gallery: Gallery) -> dict[str, int]:
    """How much was learnt from: numbers only, since a model goes to places where names must not."""
    counts = gallery.counts()
    return {
        "people": int((counts > 0).sum()),
        "people_with_two_photos": int((counts > 1).sum()),
        "photos": len(gallery.people),
        "undetected": len(gallery.undetected),
        "unreadable": len(gallery.unreadable),
    }


@contextlib.contextmanager
def _written(bench: Workbench) -> Iterator[Path]:
    """A folder to write results to before they are kept.

    Raises:
        DiskFull: There is no room.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="written-", dir=bench.folder) as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise DiskFull(f"There is no room in {bench.folder}. Free some and start the same training again.") from error
