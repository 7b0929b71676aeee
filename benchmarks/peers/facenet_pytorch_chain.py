"""facenet-pytorch as its README uses it: MTCNN with its defaults, then InceptionResnetV1, in eager mode.

Runs in the peer's own virtual environment: ``facenet_pytorch_chain.py WEIGHTS.npz`` with the casia-webface weights that
``benchmarks.peers.weights`` writes, so that nothing is downloaded and both sides compute the same model.
"""

import importlib
import io
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
loop = importlib.import_module("loop")
torch = importlib.import_module("torch")
facenet_pytorch = importlib.import_module("facenet_pytorch")


def main() -> None:
    """Load the weights and serve."""
    torch.set_num_threads(1)
    finder = facenet_pytorch.MTCNN()
    network = facenet_pytorch.InceptionResnetV1(pretrained=None).eval()
    with np.load(sys.argv[1], allow_pickle=False) as held:
        state = {name: torch.from_numpy(np.ascontiguousarray(held[name])) for name in held.files}
    absent = network.load_state_dict(state, strict=False).missing_keys
    if any(not name.startswith("logits") and not name.endswith("num_batches_tracked") for name in absent):
        raise SystemExit(f"weights are missing: {absent[:3]}")

    def chain(data: bytes) -> list[float] | None:
        with torch.no_grad():
            crop = finder(Image.open(io.BytesIO(data)).convert("RGB"))
            vector: list[float] | None = None if crop is None else network(crop.unsqueeze(0))[0].tolist()
            return vector

    loop.serve({name: metadata.version(name) for name in ("facenet-pytorch", "torch")}, chain)


if __name__ == "__main__":
    main()
