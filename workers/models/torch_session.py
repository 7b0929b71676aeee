"""FaceNet on torch, as quick as its GPU lets it: half precision, channels last, fused calls, replayed CUDA graphs."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from services.errors import CannotStart
from workers.faces.batching import NoRoom
from workers.faces.embed import Crops, Network
from workers.faces.values import Vectors
from workers.models.facenet_graph import CROP_PX, DIMENSION, DIVIDE, SUBTRACT, Weights
from workers.models.torch_device import give_back, recording, room
from workers.models.torch_facenet import Folded, module

Precision = Literal["fp32", "tf32", "fp16", "bf16"]
"""``tf32`` is float32 whose products a GPU rounds to 10 bits; it is measured, and no variant of a model."""

_TYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

SIZES = (1, 8, 32, 128, 256)
"""Batches that have a graph of their own; others are filled up to the next of them."""
_WARM_UPS = 3
"""Calls before one is recorded: cuDNN tries its algorithms on the first."""


def network(weights: Weights, *, precision: Precision, device: str) -> Network:
    """FaceNet with *weights*, from (n, 160, 160, 3) uint8 crops to (n, 512) float32 vectors of norm 1.

    Not to be shared by threads at one time. It says :class:`workers.faces.batching.NoRoom` when a batch does not fit into the
    device's memory.

    Args:
        weights: Of a bundle.
        precision: In which the convolutions are computed; mean, last product and norm are float32 always.
        device: ``cpu`` or ``cuda``.

    Raises:
        CannotStart: facenet-pytorch is not installed, or the GPU does not compute in *precision*.
        InvalidModel: *weights* are not FaceNet's.
    """
    direct = Direct(folded(weights, precision, device), precision, device)
    return Replayed(direct).run if torch.device(device).type == "cuda" else direct.run


def folded(weights: Weights, precision: Precision, device: str) -> Folded:
    """The network on its device, in its precision and the order of values that convolutions like best."""
    made = Folded(module(weights)).in_type(_TYPES[precision])
    made = cast("Folded", made.to(device=device, memory_format=torch.channels_last).eval())
    if torch.device(device).type == "cuda" and _refused(made, precision, device) is not None:
        made.apart()
        if (error := _refused(made, precision, device)) is not None:
            raise CannotStart(
                f"This GPU does not compute FaceNet in {precision}: {str(error).partition(chr(10))[0]}. Set COLEGA_VARIANT=auto."
            ) from error
    return made


def _refused(made: Folded, precision: Precision, device: str) -> RuntimeError | None:
    """Why one face cannot be computed: cuDNN may lack the type on this GPU, or its calls of several layers at once."""
    crop = torch.zeros((1, CROP_PX, CROP_PX, 3), dtype=torch.uint8, device=device)
    with room(), torch.inference_mode():
        try:
            Direct(made, precision, device).vectors(crop)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            return error
    return None


class Direct:
    """The network called as it is, batch by batch.

    Args:
        network: As :func:`folded` gives it, or something that does the same.
        precision: What it computes in.
        device: Where it is.
    """

    def __init__(self, network: Any, precision: Precision, device: str) -> None:  # noqa: ANN401 - A module of torch's.
        self._network = network
        self._may_round = precision == "tf32"
        self.device = torch.device(device)

    def run(self, crops: Crops) -> Vectors:
        """See :func:`network`."""
        with room(), torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
            return cast("Vectors", self.vectors(pixels).cpu().numpy())

    def vectors(self, pixels: torch.Tensor, *, tries: bool = True) -> torch.Tensor:
        """(n, 160, 160, 3) uint8 on the device to (n, 512) float32 there.

        Args:
            pixels: The crops.
            tries: On a GPU cuDNN tries all its algorithms on a batch of a size that is new to it, and takes the quickest. It
                goes on to take that when it may try no more, as within a recording, which trying would break.
        """
        tries = tries and self.device.type == "cuda"
        with torch.backends.cudnn.flags(enabled=True, benchmark=tries, allow_tf32=self._may_round):
            standardised = (pixels.permute(0, 3, 1, 2).float() - SUBTRACT) / DIVIDE
            return cast("torch.Tensor", self._network(standardised))


class Replayed:
    """The network recorded once a batch size and replayed, which spares the launches of its hundred kernels.

    Crops go through pinned memory, so that the copy to the device is one transfer by the device itself. A graph keeps its
    memory. Where that does not suffice for one, all are given up, and from then on batches of that size or more are computed
    directly; smaller ones are recorded anew.

    Args:
        direct: The network, on a GPU.
        sizes: Batches to record, when the first of their size comes.
    """

    def __init__(self, direct: Direct, sizes: Sequence[int] = SIZES) -> None:
        self._direct = direct
        self._sizes = tuple(sorted(sizes))
        self._too_large = self._sizes[-1] + 1
        """Batches of so many or more are not recorded."""
        self._recorded: dict[int, Recorded] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, crops: Crops) -> Vectors:
        """See :func:`network`."""
        vectors = np.empty((len(crops), DIMENSION), np.float32)
        for start in range(0, len(crops), self._sizes[-1]):
            batch = crops[start : start + self._sizes[-1]]
            graph = self._graph(next(size for size in self._sizes if size >= len(batch)))
            if graph is None:
                vectors[start : start + len(batch)] = self._direct.run(batch)
                continue
            with room(), torch.inference_mode():
                vectors[start : start + len(batch)] = graph.run(batch)
        return vectors

    def recorded(self, size: int) -> "Recorded":
        """The graph for batches of *size*."""
        if size not in self._recorded:
            with torch.inference_mode():
                self._recorded[size] = Recorded(self._direct, size, self._pool)
        return self._recorded[size]

    def _graph(self, size: int) -> "Recorded | None":
        """The graph for batches of *size*; None where there is no memory for it."""
        if size >= self._too_large:
            return None
        try:
            with room():
                return self._whole(size)
        except NoRoom:
            self._too_large = min(size, self._too_large)
        self._recorded.clear()
        give_back()
        self._pool = torch.cuda.graph_pool_handle()
        return None

    def _whole(self, size: int) -> "Recorded":
        """As :meth:`recorded`. After a recording broke nothing is recorded any more: CUDA does not say what is left of it."""
        try:
            return self.recorded(size)
        except torch.AcceleratorError:
            self._too_large = 0
            raise


class Recorded:
    """A CUDA graph of the network over batches of one size.

    Args:
        direct: The network.
        size: Of its batches.
        pool: Memory that it shares with graphs that are never replayed while it is.
    """

    def __init__(self, direct: Direct, size: int, pool: tuple[int, int]) -> None:
        self._pinned = torch.zeros((size, CROP_PX, CROP_PX, 3), dtype=torch.uint8, pin_memory=True)
        self._pixels = self._pinned.to(direct.device)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                direct.vectors(self._pixels)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with recording(self.graph, pool):
            self._vectors = direct.vectors(self._pixels, tries=False)

    def run(self, crops: NDArray[np.uint8]) -> Vectors:
        """(n, 160, 160, 3) uint8, n at most the size, to (n, 512) float32."""
        self._pinned.numpy()[: len(crops)] = crops
        self._pixels.copy_(self._pinned, non_blocking=True)
        self.graph.replay()
        return cast("Vectors", self._vectors[: len(crops)].cpu().numpy())
