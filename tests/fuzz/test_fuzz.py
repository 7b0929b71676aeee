"""Whatever is sent as a photo or an archive is read within its limits or refused with a reason; nothing else happens."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import mutating, reading

FILES = 300
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(examples: Path) -> list[bytes]:
    """Files to begin with."""
    return reading.photos(examples)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_damaged_photo_is_pixels_or_a_reason(photos: list[bytes], seed: int) -> None:
    drawn = random.Random(seed)

    read = [reading.decode_is_sound(mutating.mutated(photos, drawn)) for _ in range(FILES)]

    assert any(read)
    assert not all(read)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_damaged_archive_is_entries_or_a_reason(tmp_path: Path, seed: int) -> None:
    archives, drawn = reading.archives(), random.Random(seed)

    read = [reading.archive_is_sound(mutating.mutated(archives, drawn), tmp_path / "a") for _ in range(FILES)]

    assert any(read)
    assert not all(read)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("COLEGA_SOAK"), reason="an hour of it with COLEGA_SOAK set only")
@pytest.mark.timeout(4500)
def test_an_hour_of_it_finds_nothing(tmp_path: Path, shared: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", "--seconds", "3600", "--keep", str(tmp_path)]
    seed = ["--seed", str(random.SystemRandom().randrange(2**32)), "--odd", str(shared / "data")]

    done = subprocess.run([*command, *seed], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
