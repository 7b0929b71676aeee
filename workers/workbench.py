"""What a computation has at hand: models, faces, a folder that outlives it, and somebody to tell how far it is.

Trainings, evaluations, calibrations, quantisations and comparisons take a workbench and know neither jobs nor Celery. A worker has one
over catalog and photo store (:mod:`workers.computing`); ``--local`` has one over folders alone
(:mod:`workers.tasks.alone`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.shadow import Shadow
from workers.faces.detect import Detector
from workers.faces.values import Vectors
from workers.galleries import Gallery
from workers.models.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The vectors that searches of a collection compare with, as of one number of its log."""

    generation: int
    """In which they are."""
    vectors: Vectors
    """(n, d) float32 of norm 1: every face that is somebody's."""
    people: NDArray[np.int64]
    """(n,): the number of each one's person in the catalog."""
    epoch: str
    sequence: int
    """The log entry up to which they have seen the collection."""


class Workbench(Protocol):
    """One computation's surroundings. Used by one thread."""

    @property
    def folder(self) -> Path:
        """A folder for checkpoints: found again when the same computation is started again, removed when it ends."""

    @property
    def max_pixels(self) -> int:
        """Photos of more are refused."""

    def bundle(self, model: str | None) -> Bundle:
        """The model of that name, id or folder; None is the collection's, or the default one.

        Raises:
            NotFound, InvalidModel: There is none, or it cannot be used.
        """

    def detector(self) -> Detector:
        """The detector that labelled photos are looked at with."""

    def gallery(self) -> Gallery:
        """The labelled faces that the computation is about: a collection's, or those of a directory.

        Raises:
            NotFound, InvalidRequest: There is no such collection or directory, or nothing of use in it.
        """

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Say how far it is, as whoever watches will see it.

        Raises:
            Cancelled: Nobody wants the rest.
        """

    def keep(self, name: str, path: Path) -> None:
        """Keep a file of the result, such as ``report.html``, under *name*."""

    def register(self, bundle: Bundle) -> str:
        """Make *bundle* a candidate of the registry. Returns how it is called from now on: its id, or its folder."""

    def enrolled(self, bundle: Bundle) -> Enrolled | None:
        """What the collection has enrolled under that model; None where the faces are not a collection's.

        Raises:
            InvalidRequest: The collection has no embeddings of it.
        """

    def calibrated(self, enrolled: Enrolled, calibration: Mapping[str, Any]) -> None:
        """Have searches in that generation judged by :meth:`workers.evaluation.calibration.Calibration.curves`."""

    def shadow(self, before: int, after: int, *, rebuild: str | None, seed: int) -> Shadow:
        """Faces that are in both of two generations of the collection, and recent searches; of very many a part.

        Args:
            before: What is searched now.
            after: What may be searched next.
            rebuild: Public id of the one that made it.
            seed: Of the lot by which people are drawn where there are too many.

        Raises:
            NotFound: A generation is gone.
            InvalidRequest: The faces are not a collection's.
        """
