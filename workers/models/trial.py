"""Trying a model on the reference chips: what is not finite, says the same of everybody or another thing each time is no use."""

import numpy as np

from services.errors import ColegaError, InvalidModel
from workers.faces.embed import Crops, Network
from workers.faces.values import Vectors

MOST_ALIKE = 0.9999
"""Cosine of two different faces from which a model cannot tell them apart. The reference chips show nine people."""

_SAME = 0.99999
"""Cosine of a face with itself, alone or in company, below which a model does not repeat itself."""
_NORM_TOLERANCE = 1e-3


def vectors_of(run: Network, crops: Crops, dimension: int) -> Vectors:
    """What a model says of *crops*, after it was seen that it says something.

    Args:
        run: The model; whatever it raises becomes an InvalidModel.
        crops: (n, side, side, 3) uint8, RGB, of different faces; at least two.
        dimension: That its description states.

    Returns:
        (n, dimension) float32, rows of norm 1.

    Raises:
        InvalidModel: It cannot be run, gives another shape, values that are not finite, the same of different faces, or
            something else when it is asked again.
    """
    try:
        together = np.asarray(run(crops))
        alone = np.concatenate([np.asarray(run(crop[None])) for crop in crops[:2]])
    except ColegaError:
        raise
    except Exception as error:  # Runtimes' errors share no root but this.
        raise InvalidModel(f"The model cannot be run: {type(error).__name__}: {_first_line(error)}") from error
    if together.shape != (len(crops), dimension):
        raise InvalidModel(
            f"The model gives {together.shape[1:]} values for a face; its description says {dimension}."
            if together.ndim == 2
            else f"The model gives an array of shape {together.shape} for {len(crops)} faces; one row each is expected."
        )
    if not np.isfinite(together).all():
        raise InvalidModel("The model gives values that are not finite for a real face; its weights are damaged.")
    if np.abs(np.linalg.norm(together, axis=1) - 1).max() > _NORM_TOLERANCE:
        raise InvalidModel("The model gives vectors that are not of norm 1.")
    alike = together @ together.T
    if float(alike[~np.eye(len(crops), dtype=bool)].max()) > MOST_ALIKE:
        raise InvalidModel(
            "The model says the same of different faces; it is no face model, or its input is described wrongly."
        )
    if float((together[: len(alone)] * alone).sum(1).min()) < _SAME:
        raise InvalidModel(
            "The model says another thing of the same face in other company; such vectors cannot be compared."
        )
    return together.astype(np.float32)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else ""
