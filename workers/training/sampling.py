"""Which photos make a batch: P people with K photos each, drawn anew for every step from the seed and the step.

So a training that goes on after a kill draws what it would have drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.metrics import Labels

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a batch: which photo, and which of its views."""

    photos: Rows
    """(b,) int64."""
    views: Rows
    """(b,) int64, below the number of views a photo."""


class Sampler:
    """Draws batches of PK photos out of *people* (n,), of which each photo has *views* views.

    People with two photos and more fill a share *paired* of a batch (or all of it, where there are no others); the rest are
    people with one, who cannot be missed but mistaken. Where a person has fewer photos than K, photos come again in
    other views.
    """

    def __init__(
        self, people: Labels, views: int, *, people_a_batch: int, photos_a_person: int, paired: float, seed: int
    ) -> None:
        rows = [np.flatnonzero(people == person) for person in np.unique(people)]
        self._several = [mine for mine in rows if len(mine) > 1]
        self._single = [mine for mine in rows if len(mine) == 1]
        self._views = views
        self._photos = photos_a_person
        wanted = round(people_a_batch * paired) if self._single else people_a_batch
        self._from_several = min(wanted, len(self._several))
        self._from_single = min(people_a_batch - self._from_several, len(self._single))
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """The batch of *step*."""
        random = np.random.default_rng([self._seed, step])
        drawn = [self._several[i] for i in random.permutation(len(self._several))[: self._from_several]]
        drawn += [self._single[i] for i in random.permutation(len(self._single))[: self._from_single]]
        photos: list[Rows] = []
        views: list[Rows] = []
        for mine in drawn:
            if len(mine) == 1:
                # One view is enough to be mistaken for somebody, and a second one costs as much as a photo of another.
                photos.append(mine)
                views.append(random.integers(self._views, size=1))
                continue
            # All of a person's photos before any comes again, and then in another view.
            order, first = random.permutation(mine), random.integers(self._views, size=len(mine))
            rounds, place = np.divmod(np.arange(self._photos), len(mine))
            photos.append(order[place])
            views.append((first[place] + rounds) % self._views)
        return Batch(np.concatenate(photos), np.concatenate(views))
