"""Tuning: from labelled faces and a model to a better one, with the figures that say whether it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from services.errors import InvalidModel, InvalidRequest
from workers import pairing
from workers.evaluation import metrics
from workers.galleries import Gallery
from workers.models import facenet_bundle, facenet_graph
from workers.models.bundle import Bundle
from workers.training import datasets, networks, triplets
from workers.training.augmentation import Variation
from workers.training.datasets import Parts
from workers.training.loop import Course
from workers.training.recipe import Recipe
from workers.training.triplets import Outcome
from workers.workbench import Workbench

_RATES = (1e-2, 1e-3, 1e-4)
_LEAST_ACCEPTED = 10
"""Non-mated pairs at a rate below which the rate is not told: a threshold set by fewer is chance."""
_NAME_CHARACTERS = 64


def train(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Train what ``method`` says.

    Args:
        wanted: ``method``: ``triplet``, or ``siamese`` (:func:`workers.pairing.train`). ``base``: the model to start from;
            ``name``: of the new one; ``recipe``: fields of :class:`workers.training.recipe.Recipe`; ``device``: ``auto``,
            ``cpu`` or ``cuda``.
        bench: What is at hand. Killed and started again with the same folder, it goes on from the last checkpoint.

    Returns:
        ``model``: what was registered; ``base``, ``recipe``, ``faces`` (counts), ``held_out`` (figures before and after),
        ``course`` (how it went), ``lines`` (the same for people to read).

    Raises:
        InvalidRequest, InvalidTraining, InvalidModel, NotFound: What was asked cannot be done, and why.
        TrainingDiverged, DiskFull, Cancelled: It ended before its end; the last checkpoint stays.
    """
    method = wanted.get("method", "triplet")
    if method == "triplet":
        return _triplet(wanted, bench)
    if method == "siamese":
        return pairing.train(wanted, bench)
    raise InvalidRequest(f"There is no method {method!r} of training; there are triplet and siamese.")


def _triplet(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    device = networks.device_of(str(wanted.get("device", "auto")))
    recipe = Recipe.of(wanted.get("recipe") or {}).on(gpu=device.type == "cuda")
    base = bench.bundle(wanted.get("base"))
    if base.architecture != facenet_graph.ARCHITECTURE:
        raise InvalidModel(
            f"{base.name} is a {base.architecture}; only FaceNet ({facenet_graph.ARCHITECTURE}) can be fine-tuned here. Say "
            "--from with a model that is one."
        )
    gallery = bench.gallery()
    rows = datasets.drawn(gallery.people, recipe.most_photos, recipe.seed)
    people, chips = gallery.people[rows], [gallery.chips[row] for row in rows.tolist()]
    datasets.parts(people, recipe.held_out, recipe.seed)  # Refused before the work begins.
    facenet = networks.Facenet(base.weights(), recipe.first_trained, device)
    held = datasets.features(
        facenet,
        chips,
        views=recipe.views,
        seed=recipe.seed,
        variation=Variation(),
        folder=bench.folder,
        told=lambda done, total: bench.tell({"stage": "views", "done": done, "total": total}),
    )
    folder = bench.folder / f"checkpoints-{facenet.digest[:16]}"
    outcome = triplets.fine_tune(facenet, held, people, recipe, folder, bench.tell)
    bench.tell({"stage": "writing the model"})
    judged, faces = _judged(people, outcome), _faces(gallery, people, outcome.parts)
    said = {
        "base": _called(base),
        "recipe": recipe.as_json(),
        "faces": faces,
        "held_out": judged,
        "course": _told(outcome.validated),
        "everybody": outcome.everybody and _told(outcome.everybody),
    }
    candidate = facenet_bundle.write(
        bench.folder / "candidate",
        facenet.weights(),
        name=str(wanted.get("name") or f"{base.name}-tuned"[:_NAME_CHARACTERS]),
        licence=base.licence,
        provenance={"kind": "triplet", **said, "parent": base.description.get("provenance")},
    )
    model = bench.register(candidate)
    lines = _lines(base, candidate, faces, judged, outcome)
    return {"method": "triplet", "model": model, "digest": candidate.digest, **said, "lines": lines}


def _called(bundle: Bundle) -> dict[str, str]:
    return {"name": bundle.name, "digest": bundle.digest}


def _told(course: Course) -> dict[str, Any]:
    """How a training went, as JSON: what nobody knows is null."""
    return {
        "ended": course.ended,
        "steps": course.step,
        "kept_step": course.best_step,
        "seconds": round(course.seconds, 1),
        "validations": [
            {name: None if np.isnan(value) else round(value, 6) for name, value in one.items()}
            for one in course.validations
        ],
    }


def _faces(gallery: Gallery, people: metrics.Labels, parts: Parts) -> dict[str, Any]:
    """What was learnt from: numbers only, since a model goes to places where names must not."""
    return {
        "learnt": triplets.counts(people[parts.learnt]),
        "held_out": triplets.counts(people[parts.held_out]),
        "left_out": len(gallery.people) - len(people),
        "undetected": len(gallery.undetected),
        "unreadable": len(gallery.unreadable),
    }


def _judged(people: metrics.Labels, outcome: Outcome) -> dict[str, Any]:
    """Figures on the people held out, by the old network and the one that has not seen them; null of too few pairs."""
    mine = people[outcome.parts.held_out]
    found: dict[str, Any] = {"people": len(np.unique(mine)), "mated_pairs": 0, "non_mated_pairs": 0}
    for name, vectors in (("before", outcome.before), ("after", outcome.after)):
        if not len(mine):
            found[name] = None
            continue
        pairs = metrics.all_pairs(vectors, mine)
        found |= {"mated_pairs": len(pairs.mated), "non_mated_pairs": len(pairs.non_mated)}
        at = {f"{rate:.0e}".replace("e-0", "e-"): _tmr(pairs, rate) for rate in _RATES}
        found[name] = {"tmr_at_fmr": at, "eer": round(metrics.equal_error_rate(pairs), 6)}
    return found


def _tmr(pairs: metrics.Pairs, rate: float) -> float | None:
    return round(triplets.tmr_at(pairs, rate), 6) if len(pairs.non_mated) * rate >= _LEAST_ACCEPTED else None


def _lines(
    base: Bundle, candidate: Bundle, faces: Mapping[str, Any], judged: Mapping[str, Any], outcome: Outcome
) -> list[str]:
    course, learnt = outcome.validated, faces["learnt"]
    whom = f"{learnt['photos']:,} photos of {learnt['people']:,} people, {learnt['with_two_photos']:,} with two or more"
    how = f"{course.step:,} steps in {course.seconds:.0f} s, ended by {course.ended}; kept is step {course.best_step:,}"
    lines = [f"Learnt from {whom}: {how}."]
    if outcome.everybody is not None:
        steps, seconds = outcome.everybody.step, outcome.everybody.seconds
        lines.append(
            f"{candidate.name} learnt anew from these and the people held out, for {steps:,} steps in {seconds:.0f} s. What "
            "follows was measured before that, on people not yet learnt from."
        )
    passed = {name: faces[name] for name in ("left_out", "undetected", "unreadable") if faces[name]}
    if passed:
        told = {"left_out": "not drawn", "undetected": "without a face", "unreadable": "not readable"}
        lines.append(
            "Photos passed over: " + ", ".join(f"{count:,} {told[name]}" for name, count in passed.items()) + "."
        )
    if judged["before"] is None:
        few = "Too few people have two photos to hold any out, so nothing says whether the new model is better: evaluate it."
        return [*lines, few]
    for rate, old in judged["before"]["tmr_at_fmr"].items():
        new = judged["after"]["tmr_at_fmr"][rate]
        if old is not None and new is not None:
            lines.append(
                f"TMR at FMR {rate} on {judged['people']} people held out: {100 * old:.2f}% with {base.name}, "
                f"{100 * new:.2f}% after training ({100 * (new - old):+.2f} points)."
            )
    if not course.best > course.before:
        lines.append(
            f"On these people training gained nothing over {base.name}; there is no reason to switch to {candidate.name}."
        )
    return lines
