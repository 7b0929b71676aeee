"""Quantising: a model's int8 variant made anew with the faces of a gallery, measured on people that it was not made with.

What is there already stays unless the new one is nearer to fp32 on those people, so a small gallery cannot make it worse.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidRequest
from workers.evaluation import metrics
from workers.faces.embed import Crops, Embedder
from workers.faces.values import Vectors
from workers.galleries import Gallery
from workers.models import (
    activations,
    assembly,
    description,
    facenet_bundle,
    facenet_graph,
    facenet_layers,
    foreign_bundle,
    variants,
)
from workers.models.bundle import LEAST_AGREEMENT, Bundle
from workers.models.facenet_graph import Network
from workers.workbench import Workbench

LEAST_FACES = 20
MOST_MADE_WITH, MOST_MEASURED = 200, 2000
"""Faces: more say nothing new of ranges; measured, each takes two embeddings."""
FMR = 1e-3

_SEED = 9
_AT_ONCE = 64
_INT8 = (description.INT8, description.INT8_NARROW)


def quantise(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Make the int8 variant of a model anew and register the bundle; its vectors in fp32, and so its digest, stay.

    Args:
        wanted: ``model``: name, id or folder; None is the collection's.
        bench: Its gallery gives the faces.

    Returns:
        ``model``: how it is called now; ``int8``: what its ``model.json`` says of int8.

    Raises:
        InvalidRequest: There are too few faces or people.
        NotFound, InvalidModel: There is no such model, or it cannot be used.
        Cancelled: Nobody wants it any more.
    """
    opened = bench.bundle(wanted.get("model"))
    gallery = bench.gallery()
    made_with, measured_on = _halves(gallery)
    bench.tell({"stage": "quantising", "done": 0, "total": len(made_with)})
    crops = _crops(opened, gallery, made_with)
    target = bench.folder / "quantised"

    def fill(scratch: Path) -> Mapping[str, Any]:
        for name in opened.files.keys() - set(_INT8):
            shutil.copyfile(opened.directory / name, scratch / name)
        int8 = _put(opened, scratch, crops, f"{len(crops)} faces of a gallery, and the reference chips")
        kept = {key: value for key, value in opened.description.items() if key not in {"format", "digest", "files"}}
        return {**kept, "variants": {**opened.variants, "int8": int8}}

    made = assembly.assemble(target, fill)
    bench.tell({"stage": "measuring", "done": 0, "total": len(measured_on)})
    better = _better(opened, made, gallery, measured_on, bench)
    name = bench.register(better)
    return {"model": name, "int8": better.variants["int8"]}


def _halves(gallery: Gallery) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the gallery to measure ranges on, and those of other people to measure the loss on."""
    rng = np.random.default_rng(_SEED)
    people = rng.permutation(np.unique(gallery.people))
    if len(people) < 2 or len(gallery.people) < LEAST_FACES:
        raise InvalidRequest(
            f"{len(gallery.people)} faces of {len(people)} people; int8 is measured on at least {LEAST_FACES} of two or more."
        )
    mine = np.isin(gallery.people, people[: len(people) // 2])
    ours, theirs = rng.permutation(np.flatnonzero(mine)), rng.permutation(np.flatnonzero(~mine))
    return np.sort(ours[:MOST_MADE_WITH]), np.sort(theirs[:MOST_MEASURED])


def _crops(opened: Bundle, gallery: Gallery, rows: NDArray[np.int64]) -> Crops:
    return np.stack([opened.crop.cut(gallery.chips[int(row)]) for row in rows])


def _put(opened: Bundle, scratch: Path, crops: Crops, made_with: str) -> dict[str, Any]:
    reference, expected = opened.reference()
    seen = np.concatenate([facenet_bundle.mirrored(reference), crops])
    if opened.architecture == facenet_graph.ARCHITECTURE:
        network = Network(facenet_layers.nodes(), opened.weights())
        measured = activations.measured(network, seen, made_with)
        return facenet_bundle.put_int8(scratch, network, measured, reference, expected)
    model = foreign_bundle.whole(opened)
    return foreign_bundle.put_int8(scratch, model, seen, reference, expected, made_with=made_with)


def _better(opened: Bundle, made: Bundle, gallery: Gallery, rows: NDArray[np.int64], bench: Workbench) -> Bundle:
    """Whichever int8 is nearer to fp32 on *rows*, with what was measured; without int8 where neither is near enough."""
    people = gallery.people[rows]
    measured_on = f"{len(np.unique(people))} people of a gallery whose faces it was not made with"
    told = 0

    def embedded(embedder: Embedder) -> Vectors:
        nonlocal told
        vectors = []
        for start in range(0, len(rows), _AT_ONCE):
            vectors.append(embedder.embed(_crops(opened, gallery, rows[start : start + _AT_ONCE])))
            told += len(vectors[-1])
            bench.tell({"stage": "measuring", "done": told, "total": 3 * len(rows)})
        return np.concatenate(vectors)

    fp32 = embedded(opened.embedder("fp32"))
    tried: list[tuple[variants.Loss, Bundle, Vectors]] = []
    for bundle in (made, opened):
        if (embedder := _int8(bundle)) is not None:
            vectors = embedded(embedder)
            tried.append((variants.loss(fp32, vectors, measured_on), bundle, vectors))
    if not tried:
        return made
    loss, best, vectors = max(tried, key=lambda one: one[0].mean)
    told_of_it: dict[str, Any] = {**best.variants["int8"], "loss": asdict(loss)}
    told_of_it.pop("tmr", None)  # Of another set, if there was one.
    if (tmr := _tmr(fp32, vectors, people)) is not None:
        told_of_it["tmr"] = {"fmr": FMR, **tmr, "measured_on": loss.measured_on}
    return _kept(made, best, told_of_it, loss, variants.too_far(loss, tmr))


def _kept(made: Bundle, best: Bundle, told: Mapping[str, Any], loss: variants.Loss, why_not: str | None) -> Bundle:
    """*made* with the int8 files of *best*, or with none where there is a reason why not."""

    def fill(scratch: Path) -> Mapping[str, Any]:
        for name in made.files.keys() - set(_INT8):
            shutil.copyfile(made.directory / name, scratch / name)
        for name in best.ways("int8"):
            shutil.copyfile(best.directory / name, scratch / name)
        int8 = dict(told)
        if why_not is not None:
            int8 = variants.refused_int8(scratch, loss, why_not, made_with=str(told.get("made_with")))
        kept = {key: value for key, value in made.description.items() if key not in {"format", "digest", "files"}}
        return {**kept, "variants": {**made.variants, "int8": int8}}

    return assembly.assemble(made.directory, fill)


def _int8(bundle: Bundle) -> Embedder | None:
    """The bundle's int8 on this machine, where it agrees with the reference."""
    for name in bundle.ways("int8"):
        embedder = bundle.opened("int8", name)
        if embedder.agreement >= LEAST_AGREEMENT["int8"]:
            return embedder
    return None


def _tmr(fp32: Vectors, int8: Vectors, people: NDArray[np.int64]) -> dict[str, float] | None:
    """TMR at the rate, of both; None where there are too few pairs to say."""
    found = {}
    for name, vectors in (("fp32", fp32), ("int8", int8)):
        pairs = metrics.all_pairs(vectors, people)
        if not len(pairs.mated) or not metrics.can_show(FMR, len(pairs.non_mated)):
            return None
        threshold = metrics.threshold_at(pairs.non_mated, FMR)
        found[name] = round(metrics.share_accepted(pairs.mated, threshold), 6)
    return found
