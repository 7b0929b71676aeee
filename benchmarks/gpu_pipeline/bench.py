"""What all parts work with: weights, photos, crops, the device, its clock, and facenet-pytorch."""

import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from workers.faces.crops import StretchedBox
from workers.faces.detect import Mode
from workers.faces.embed import Embedder
from workers.faces.pipeline import FacePipeline
from workers.faces.values import Chip
from workers.models import detectors, facenet_state, torch_session
from workers.models.torch_facenet import Folded
from workers.models.torch_session import Direct, Precision, Replayed

PEER = "facenet-pytorch"
MAX_PIXELS = 50_000_000
CROP = StretchedBox(160, 160)
_MEASURED_S = 0.25
_CHIPS = 96

Run = Callable[[], object]


class Bench:
    """One run of the benchmark.

    Args:
        folder: ``weights.safetensors``, a state dict of InceptionResnetV1, and ``photos/KIND/*.jpg``.
        quick: A few of everything.
    """

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.quick = quick
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.cores = len(os.sched_getaffinity(0))
        self.threads = ThreadPoolExecutor(self.cores)
        self.state = load_file(folder / "weights.safetensors")
        self.weights = facenet_state.network_of(self.state).weights
        self.photos: dict[str, list[bytes]] = {}
        for path in sorted((folder / "photos").glob("*/*.jpg")):
            self.photos.setdefault(path.parent.name, []).append(path.read_bytes())
        if quick:
            self.photos = {kind: photos[:6] for kind, photos in self.photos.items()}
        self.best: Precision = (
            "fp16" if self.device == "cuda" else "fp32"
        )  # Processors compute fp16 a hundred times slower.
        self.batches = (1, 4) if quick else (1, 8, 32, 128, 512)
        self.crops = np.stack([CROP.cut(chip) for chip in self._chips()])

    def _chips(self) -> list[Chip]:
        """Chips found and cut on the processor."""
        pipeline = FacePipeline(detectors.mtcnn(), no_embedder(), max_pixels=MAX_PIXELS)
        found: list[Chip] = []
        for data in (data for photos in self.photos.values() for data in photos):
            reading = pipeline.read(data, Mode.BALANCED)
            found += [reading.face(i).chip for i in range(len(reading.detections))]
            if len(found) >= (8 if self.quick else _CHIPS):
                break
        return found

    def repeated(self, size: int) -> NDArray[np.uint8]:
        """(size, 160, 160, 3) uint8: the crops over and over."""
        return np.ascontiguousarray(self.crops[np.arange(size) % len(self.crops)])

    def standardised(self, size: int) -> torch.Tensor:
        """(size, 3, 160, 160) float32 on the device, as facenet-pytorch takes crops."""
        pixels = torch.from_numpy(self.repeated(size)).permute(0, 3, 1, 2).float()
        return ((pixels - 127.5) / 128).contiguous().to(self.device)

    def peer(self) -> Any:  # noqa: ANN401 - facenet-pytorch has no types.
        """facenet-pytorch's network with these weights, as its README makes it."""
        network = peer_package().InceptionResnetV1(pretrained=None).eval()
        network.load_state_dict(
            {name: torch.from_numpy(array.astype(np.float32)) for name, array in self.state.items()}
        )
        return network.to(self.device)

    def folded(self, precision: Precision, *, at_once: bool = True) -> Folded:
        """Our network on the device."""
        made = torch_session.folded(self.weights, precision, self.device)
        if not at_once:
            made.apart()
        return made

    def replay(self, direct: Direct, size: int) -> Run:
        """*direct* over crops that lie on the device: on a GPU its recorded graph."""
        pixels = self.repeated(size)
        if self.device == "cpu":
            return lambda: direct.run(pixels)
        again: Run = Replayed(direct, sizes=(size,)).recorded(size).graph.replay
        return again

    def seconds(self, run: Run) -> float:
        """Median seconds of one *run*, after warming up; on a GPU by its own clock."""
        for _ in range(3):
            run()
        taken: list[float] = []
        while sum(taken) < (0.01 if self.quick else _MEASURED_S) or len(taken) < 3:
            if self.device == "cpu":
                started = time.perf_counter()
                run()
                taken.append(time.perf_counter() - started)
                continue
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            torch.cuda.synchronize()
            taken.append(begin.elapsed_time(end) / 1000)
        return statistics.median(taken)

    def wall(self, run: Run) -> float:
        """Median seconds by the wall of what ends on the processor."""
        taken = []
        for _ in range(3 if self.quick else 9):
            started = time.perf_counter()
            run()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken[1:])


def no_embedder() -> Embedder:
    """An embedder for pipelines that are asked for no vector."""
    return Embedder(
        lambda crops: np.zeros((len(crops), 512), np.float32),
        digest="",
        variant="",
        dimension=512,
        crop=CROP,
        agreement=1.0,
    )


def peer_package() -> Any:  # noqa: ANN401 - facenet-pytorch has no types.
    """facenet_pytorch; where torchvision does not load, over the tests' stand-in for two of its functions."""
    try:
        import torchvision  # noqa: F401, PLC0415
    except (ImportError, RuntimeError):
        sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "stand_in"))
    import facenet_pytorch  # noqa: PLC0415

    return facenet_pytorch
