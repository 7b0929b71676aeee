"""What tests of the face pipeline share: the default bundle, built once, and real photos."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import default_model
from workers.models.bundle import Bundle

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The default bundle, as a fresh install builds it."""
    folder = tmp_path_factory.mktemp("models")
    default_model.put(folder)
    return Bundle.open(folder / "casia-webface")


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the default bundle that a test may alter, file by file (write anew, never in place: they are links)."""
    link: Callable[[str, str], object] = os.link
    return Path(shutil.copytree(bundle.directory, tmp_path / "copy", copy_function=link))


@pytest.fixture(scope="session")
def examples() -> Path:
    """The photos that come with the repository."""
    return EXAMPLES
