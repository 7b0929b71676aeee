"""Whatever fails, in whatever order: what was acknowledged is kept, once, and nobody is named who should not be."""

import os
from pathlib import Path

import pytest

from tests.faults import running_through

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEED = int(os.environ.get("COLEGA_SEED", "12"))
LONG = bool(os.environ.get("COLEGA_SOAK"))


@pytest.mark.parametrize("postgresql", [True, False], ids=["postgresql", "sqlite"])
def test_random_faults_under_load_lose_double_and_return_nobody(tmp_path: Path, shared: Path, postgresql: bool) -> None:
    people = [folder for folder in sorted((shared / "data" / "lfw_dev").iterdir()) if folder.is_dir()]
    newcomers = [min(person.glob("*.jpg")) for person in people]

    result = running_through.run(
        tmp_path,
        newcomers,
        seed=SEED,
        count=50 if LONG else 5,
        longest_s=30 if LONG else 3,
        postgresql=postgresql,
    )

    assert result.verdict.is_well, (result.verdict, result.faults, result.ledger.answers)
