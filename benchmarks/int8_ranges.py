"""Measures the ranges that the int8 variant is made with: ``workers/models/facenet_ranges.json``.

Every face of ``wider_sample``, ``compreface_samples`` and ``facenet_pytorch_samples`` that is large and certain enough is
run through the fp32 network, and for each tensor the range is kept that nine of ten faces stay within. The greatest value
of all faces would be steered by one odd face and cost resolution for all others (docs/evaluation.md, "int8").

    python -m benchmarks.int8_ranges [--json FILE] [--quick]
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks import chains, datasets, machine
from workers.faces import chips
from workers.faces.detect import Mode
from workers.faces.embed import Crops
from workers.faces.pipeline import FacePipeline
from workers.models import casia_webface, quantisation
from workers.models.facenet_graph import INPUT, Network, model_of

_TABLE = Path(quantisation.__file__).with_name("facenet_ranges.json")
_LEAST_SIDE_PX, _LEAST_SCORE = 48, 0.9
_SHARE = 0.9


def main() -> None:
    """Write the table, unless ``--quick``."""
    asked = machine.parser(__doc__).parse_args()
    photos = datasets.calibration()[:: 10 if asked.quick else 1]
    crops = faces(photos)
    network = casia_webface.network()
    names = quantisation.measured_tensors(network)
    low, high = extremes(network, names, crops)
    lows, highs = np.quantile(low, 1 - _SHARE, axis=0), np.quantile(high, _SHARE, axis=0)
    source = (
        f"{len(crops)} faces of wider_sample, compreface_samples and facenet_pytorch_samples, at least {_LEAST_SIDE_PX} "
        f"pixels wide, MTCNN score at least {_LEAST_SCORE}; the range that {_SHARE:.0%} of the faces stay within"
    )
    ranges = {name: [_short(a), _short(b)] for name, a, b in zip(names, lows, highs, strict=True)}
    if not asked.quick:
        _TABLE.write_text(json.dumps({"source": source, "ranges": ranges}, indent=0) + "\n", "utf-8")
    rows = [machine.Row("calibration", "faces", len(crops)), machine.Row("calibration", "tensors", len(names))]
    machine.finish(rows, asked.json, machine=machine.describe(), notes=[source])


def faces(photos: list[Path]) -> Crops:
    """The crops, through chips, of every face that is large and certain enough, (n, 160, 160, 3) uint8."""
    embedder = chains.bundle().embedder("fp32")
    pipeline = FacePipeline(chains.every_detector()["MTCNN"], embedder, max_pixels=chains.MAX_PIXELS)
    crops = []
    for photo in photos:
        reading = pipeline.read(photo.read_bytes(), Mode.BALANCED)
        for i, found in enumerate(reading.detections):
            if min(found.box.w, found.box.h) >= _LEAST_SIDE_PX and found.score >= _LEAST_SCORE:
                crops.append(embedder.crop(chips.decode(reading.face(i).chip.jpeg)))
    return np.stack(crops)


def extremes(network: Network, names: list[str], crops: Crops) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The least and the greatest value of every tensor for every crop, (crops, tensors) each."""
    graph = network.graph()
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in network.weights.items())
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_of(graph).SerializeToString(), options)
    low, high = np.empty((2, len(crops), len(names)), np.float32)
    for i, crop in enumerate(crops):
        tensors = session.run(names, {INPUT: crop[None]})
        low[i], high[i] = [t.min() for t in tensors], [t.max() for t in tensors]
    return low, high


def _short(value: float) -> float:
    return float(f"{value:.5g}")


if __name__ == "__main__":
    main()
