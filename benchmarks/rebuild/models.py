"""Models for the real case: vggface2 as it was published, and casia-webface made worse on purpose."""

from pathlib import Path

import numpy as np

from benchmarks import chains, datasets
from workers.models import facenet_bundle

VGGFACE2 = datasets.DATA.parent / "models" / "vggface2.safetensors"
YUNET = datasets.YUNET

_LAST = "Bottleneck"
_DIRECTIONS = 64
_NOISE = 0.5


def worse(folder: Path) -> Path:
    """A bundle of casia-webface whose last layer keeps 64 of 512 directions and gets noise of half its weights' size.

    Its vectors still have norm 1; 13 of 100 pairs of one person are lost at FMR 0.001, 4 of 100 faces at rank 1.
    """
    if not folder.exists():
        weights = dict(chains.bundle().weights())
        directions, _ = np.linalg.qr(np.random.default_rng(7).standard_normal((512, _DIRECTIONS)))
        kept = (directions @ directions.T).astype(np.float32)
        for name in (f"{_LAST}/weights", f"{_LAST}/biases"):
            weights[name] = (kept @ weights[name]).astype(np.float32)
        last = weights[f"{_LAST}/weights"]
        noise = np.random.default_rng(8).standard_normal(last.shape)
        weights[f"{_LAST}/weights"] = (last + _NOISE * last.std() * noise).astype(np.float32)
        made = {"kind": "noise", "layer": _LAST, "directions": _DIRECTIONS}
        facenet_bundle.write(folder, weights, name="worse", licence="MIT", provenance=made)
    return folder
