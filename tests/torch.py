"""torch, for the tests that compute with it: they run where it is installed."""

import sys
from pathlib import Path
from typing import Any

from tests.conftest import missing

STAND_IN = Path(__file__).parent / "stand_in"


def required() -> Any:
    """The module ``torch``, with ``facenet_pytorch`` importable beside it.

    Called at the head of a test module, before anything that imports torch: without torch the module is skipped, and
    fails where ``CI`` is set. torchvision is the installed one where its binary fits this torch, else a stand-in with
    the two functions that facenet-pytorch calls (docs/decisions/0012-torch-without-torchvision.md).
    """
    try:
        import torch
    except ModuleNotFoundError:
        missing("torch is not installed; say: make test TORCH=torch==2.13.0")
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError):  # Missing, or built for another torch.
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.path.insert(0, str(STAND_IN))
    return torch
