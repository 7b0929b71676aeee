"""The default model's weights under the names of facenet-pytorch's state dict, so that the peer computes the same model."""

from pathlib import Path

import numpy as np

from workers.models import casia_webface, facenet_state


def write(path: Path) -> None:
    """Write the state dict of facenet-pytorch's InceptionResnetV1 (without its classifier) to *path* (npz)."""
    np.savez(path, allow_pickle=False, **facenet_state.state_of(casia_webface.network().weights))
