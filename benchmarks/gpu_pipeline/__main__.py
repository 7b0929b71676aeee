"""FaceNet on a GPU: faces a second by batch and precision, whole photos a second, agreement, and what happens when memory ends.

Beside facenet-pytorch 2.5.3 as its README uses it, with the same weights, on the same card, in the same process:
``python -m benchmarks.gpu_pipeline FOLDER``, with ``weights.safetensors`` (a state dict of InceptionResnetV1) and photos in
``photos/KIND/``. Where there is no GPU it runs on the processor, to see that it runs. ``python -m benchmarks.gpu_pipeline.page``
writes what ``--json`` kept into docs/gpu.md.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from benchmarks.machine import Row, describe, finish, parser

try:
    import pillow_heif  # noqa: F401
except ImportError:  # There is no HEIC among the photos.
    sys.modules["pillow_heif"] = ModuleType("pillow_heif")
    sys.modules["pillow_heif"].register_heif_opener = lambda **_: None  # type: ignore[attr-defined]

from benchmarks.gpu_pipeline import network, path
from benchmarks.gpu_pipeline.bench import Bench

PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "The card": network.card,
    "Faces a second by batch": network.embedding,
    "Agreement with float32 on the processor": network.agreement,
    "Photos a second": path.whole,
    "The same faces as on the processor": path.same,
    "What each step gains, fp16, faces a second by batch": network.ways,
    "Memory": path.without_memory,
    "torch.compile": network.compiled,
}


def main() -> None:
    """Run the parts; one that fails is said and passed over."""
    made = parser(__doc__)
    made.add_argument("folder", type=Path, help="weights.safetensors and photos/KIND/*.jpg")
    made.add_argument("--only", nargs="*", help="parts to run, by the beginning of their names")
    arguments = made.parse_args()
    bench = Bench(arguments.folder, quick=arguments.quick)
    found: dict[str, list[Row]] = {}
    for name, part in PARTS.items():
        if arguments.only and not any(name.startswith(wanted) for wanted in arguments.only):
            continue
        started = time.perf_counter()
        found[name] = []
        try:
            for row in part(bench):
                found[name].append(row)
                print(f"  {row.case} | {row.metric}: {row.value:.5g}", file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 - The other parts are worth having.
            traceback.print_exc()
        if arguments.json is not None:  # What was found so far, should the time run out.
            arguments.json.write_text(json.dumps({part: [asdict(row) for row in rows] for part, rows in found.items()}))
        print(f"{name}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    found["Share of the card"] = list(network.share(bench, found))
    parts: dict[str, Any] = {name: {"rows": [asdict(row) for row in rows]} for name, rows in found.items()}
    finish([], arguments.json, machine=describe() | card(), parts=parts, notes=[f"{k}: {v}" for k, v in card().items()])


def card() -> dict[str, str]:
    """What computed."""
    cuda = torch.cuda.is_available()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": torch.cuda.get_device_name() if cuda else "none",
        "torch": torch.__version__,
        "cudnn": str(torch.backends.cudnn.version()) if cuda else "none",
    }


if __name__ == "__main__":
    main()
