"""Records what OpenCV's run of the original TensorFlow graph says of the reference chips: the truth that variants are held to.

Run it where OpenCV is (``pip install opencv-python-headless==5.0.0.93 pillow``); colega itself does without. It imports
nothing of colega's, so that agreement is between two independent readings of the graph::

    python benchmarks/opencv_parity.py graph_final.pb workers/models/reference
"""

import argparse
import importlib
from pathlib import Path

import numpy as np
from PIL import Image

CHIP_PX, CROP_PX = 224, 160


def main() -> None:
    """Write ``vectors.npy``, (chips, 512) float32 in the order of the chips' names, beside the chips."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graph", type=Path)
    parser.add_argument("chips", type=Path)
    asked = parser.parse_args()
    cv2 = importlib.import_module("cv2")  # In no environment of ours.
    net = cv2.dnn.readNetFromTensorflow(str(asked.graph))
    start = (CHIP_PX - CROP_PX) // 2
    vectors = []
    for path in sorted(asked.chips.glob("*.jpg")):
        crop = np.asarray(Image.open(path))[start : start + CROP_PX, start : start + CROP_PX]
        net.setInput(((crop.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None])
        vectors.append(net.forward()[0])
    stacked = np.stack(vectors).astype(np.float32)
    np.save(asked.chips / "vectors.npy", stacked)
    print(f"OpenCV {cv2.__version__}: {len(stacked)} vectors, norms {np.linalg.norm(stacked, axis=1).round(6)}")


if __name__ == "__main__":
    main()
