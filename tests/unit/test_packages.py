"""Every package of the lock files is listed with a licence under which it may be shipped, and so are the weights."""

import json
from pathlib import Path

import pytest

from benchmarks import packages

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "licences.md").read_text("utf-8")


def test_every_lock_file_is_looked_at() -> None:
    found = {str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.lock"), *(ROOT / "infra").rglob("*.lock"))}

    assert found == set(packages.LOCKS)


def test_no_package_is_unlisted_or_of_an_unknown_licence() -> None:
    unknown = [name for name in packages.locked() if not packages.licence_of(name)]
    unlisted = [name for name in packages.locked() if f"| {name} |" not in PAGE]

    assert unknown == []
    assert unlisted == []


def test_every_licence_allows_shipping_with_mit_code_or_is_explained() -> None:
    refused = {
        name: packages.licence_of(name)
        for name in packages.locked()
        if not packages.may_be_shipped(packages.licence_of(name)) and name not in packages.USED_AS_IT_COMES
    }

    assert refused == {}


@pytest.mark.parametrize("licence", ["MIT", "MIT OR GPL-3.0", "BSD-3-Clause AND 0BSD", "MPL-2.0 OR (MIT)"])
def test_a_licence_that_allows_it_is_known(licence: str) -> None:
    assert packages.may_be_shipped(licence)


@pytest.mark.parametrize("licence", ["", "GPL-3.0", "MIT AND GPL-3.0", "LGPL-3.0-only", "NVIDIA"])
def test_a_licence_that_asks_for_more_is_not_passed_over(licence: str) -> None:
    assert not packages.may_be_shipped(licence)


def test_all_weights_that_are_known_by_name_are_listed() -> None:
    for weights in ("casia-webface", "vggface2", "MTCNN", "YuNet"):
        assert weights in PAGE


@pytest.mark.slow
def test_the_bill_of_materials_names_every_package_and_nothing_of_the_moment(tmp_path: Path) -> None:
    packages.bill(tmp_path / "bill")

    document = json.loads((tmp_path / "bill").read_text("utf-8"))
    listed = {component["name"].lower().replace("_", "-") for component in document["components"]}
    assert document["bomFormat"] == "CycloneDX"
    assert {"flask", "celery", "cryptography", "pillow"} <= listed
    assert all(component["licenses"] for component in document["components"])
    assert "serialNumber" not in document
    assert "timestamp" not in document.get("metadata", {})
