"""FaceNet learning from triplets: the subject of the loop, over views that are features already."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.evaluation import metrics
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors
from workers.training import datasets, loop, losses
from workers.training.datasets import Features, Parts, Rows
from workers.training.loop import Course
from workers.training.networks import Facenet
from workers.training.recipe import Recipe
from workers.training.sampling import Sampler

JUDGED_AT = (1e-3, 3e-3, 1e-2)
"""The FMRs whose TMRs the validation figure is the mean of: at 1e-3 alone a few pairs decide."""
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fine-tuning came to; the network has its weights."""

    parts: Parts
    validated: Course
    """Of learning from all but the people held out."""
    everybody: Course | None
    """Of learning from all of them for as long, where that was done."""
    before: Vectors
    """Of the people held out, in the order of their rows, as the old network has them."""
    after: Vectors
    """As the network has them that has not learnt from them."""


def fine_tune(
    facenet: Facenet, held: Features, people: Labels, recipe: Recipe, folder: Path | None, tell: loop.Tell
) -> Outcome:
    """Train *facenet* on all views that are *held*, as *recipe* says, from the last checkpoint in *folder*.

    Raises:
        InvalidTraining: Nothing can be learnt from these people.
        TrainingDiverged, DiskFull, Cancelled: As :func:`workers.training.loop.run`.
    """
    parts = datasets.parts(people, recipe.held_out, recipe.seed)
    start = {name: held.detach().clone() for name, held in facenet.parameters().items()}
    subject = TripletTraining(facenet, held, people, parts.learnt, parts.held_out, recipe)
    before = subject.vectors(parts.held_out)
    course = loop.run(subject, recipe.pace(), folder and folder / "validated", tell)
    after = subject.vectors(parts.held_out)
    if not len(parts.held_out) or recipe.ends_with == "learnt" or course.ended == "time limit":
        return Outcome(parts, course, None, before, after)
    with torch.no_grad():
        for name, parameter in facenet.parameters().items():
            parameter.copy_(start[name])
    every = np.arange(len(people))
    subject = TripletTraining(facenet, held, people, every, every[:0], recipe)
    left_s = max(1.0, recipe.time_limit_s - course.seconds) if recipe.time_limit_s else None
    pace = replace(recipe.pace(), steps=course.best_step, patience=0, time_limit_s=left_s)
    named = {"stage": "training with everybody"}
    last = loop.run(subject, pace, folder and folder / "everybody", lambda told: tell({**told, **named}))
    return Outcome(parts, course, last, before, after)


class TripletTraining:
    """Draws batches, takes them through the trained stages, and says how far triplets and old embeddings are missed.

    Args:
        facenet: With the stages that are trained.
        held: Views of all photos, those learnt from and those held out.
        people: (n,) whose each photo is.
        learnt: The rows that steps see.
        held_out: The rows that validation sees, perhaps none.
        recipe: How.
    """

    def __init__(
        self, facenet: Facenet, held: Features, people: Labels, learnt: Rows, held_out: Rows, recipe: Recipe
    ) -> None:
        self._facenet, self._held, self._recipe = facenet, held, recipe
        self._people, self._learnt, self._held_out = people, learnt, held_out
        self._labels = torch.from_numpy(people[learnt]).to(facenet.device)
        self._sampler = Sampler(
            people[learnt],
            min(held.views, recipe.views),
            people_a_batch=recipe.people_a_batch,
            photos_a_person=recipe.photos_a_person,
            paired=recipe.paired,
            seed=recipe.seed,
        )
        self._triplets = losses.Triplets(recipe.mining, recipe.margin)
        self._parameters = facenet.parameters()
        self._start = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._targets = self._teacher() if recipe.near_embeddings else None

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Those of the trained stages."""
        return self._parameters

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss over the batch of *step*, and the share of its triplets that are active."""
        batch = self._sampler.batch(step)
        with self._facenet.precise():
            embeddings = self._facenet.trained(self._held.take(batch.views, self._learnt[batch.photos]))
        rows = torch.from_numpy(batch.photos).to(self._facenet.device)
        loss, active = self._triplets(embeddings, self._labels[rows])
        if self._targets is not None:
            loss = loss + self._recipe.near_embeddings * losses.from_target(embeddings, self._targets[rows])
        if self._recipe.near_weights:
            loss = loss + self._recipe.near_weights * losses.from_start(self._parameters, self._start)
        return loss, {"active_triplets": active}

    def figure(self) -> float:
        """The mean TMR over :data:`JUDGED_AT` on the people held out; NaN where nobody is."""
        return mean_tmr(self.vectors(self._held_out), self._people[self._held_out])

    def vectors(self, rows: Rows, view: int = 0) -> Vectors:
        """The embeddings of one view of the photos *rows*, (n, 512) float32 of norm 1."""
        return self._embed(rows, view).cpu().numpy() if len(rows) else np.empty((0, 512), np.float32)

    def _embed(self, rows: Rows, view: int) -> Tensor:
        found: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, len(rows), _AT_ONCE):
                some = rows[start : start + _AT_ONCE]
                found.append(self._facenet.trained(self._held.take(np.full(len(some), view), some)))
        return torch.cat(found)

    def _teacher(self) -> Tensor:
        """What the network says of each photo to learn from before it is trained, (n, 512) of norm 1."""
        several = range(min(self._held.views, self._recipe.views) if self._recipe.teacher == "views" else 1)
        return functional.normalize(sum((self._embed(self._learnt, view) for view in several), torch.zeros(())), dim=1)


def mean_tmr(vectors: Vectors, people: Labels) -> float:
    """The mean TMR over :data:`JUDGED_AT`; NaN without both mated and non-mated pairs."""
    if len(vectors) < 2:
        return float("nan")
    pairs = metrics.all_pairs(vectors, people)
    if not len(pairs.mated) or not len(pairs.non_mated):
        return float("nan")
    shares: list[float] = [tmr_at(pairs, rate) for rate in JUDGED_AT]
    return float(np.mean(shares))


def tmr_at(pairs: metrics.Pairs, rate: float) -> float:
    """TMR at FMR *rate*."""
    return metrics.share_accepted(pairs.mated, metrics.threshold_at(pairs.non_mated, rate))


def counts(people: NDArray[np.int64]) -> dict[str, int]:
    """How many people and photos there are, and how many of the people have two photos and more."""
    of_each = np.unique(people, return_counts=True)[1]
    return {"people": len(of_each), "with_two_photos": int((of_each > 1).sum()), "photos": len(people)}
