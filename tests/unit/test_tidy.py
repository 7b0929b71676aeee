"""Tests that read the code: rules that people would have to remember are rules that get lost."""

import ast
import re
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("services", "workers", "index")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = [path for path in SOURCES if "migrations" not in path.parts]

LONGEST_FILE = 300
LONGER = {
    "services/catalog/schema.py": 450,
    "services/errors.py": 350,
    "services/settings/service.py": 350,
}  # One page that lists all reads better than two.
NO_NAMES = {"utils", "util", "common", "helpers", "core", "base", "misc"}


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_named)
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGER.get(_named(path), LONGEST_FILE)


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_a_file_is_named_for_what_it_does(path: Path) -> None:
    assert not {part.removesuffix(".py") for part in path.relative_to(ROOT).parts} & NO_NAMES


@pytest.mark.parametrize("path", SOURCES, ids=_named)
def test_nothing_is_pickled_or_left_for_later(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"\b(import pickle|from pickle|allow_pickle=True)\b", text)
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


@pytest.mark.parametrize("path", [p for p in MODULES if "cli" not in p.parts], ids=_named)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]

    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_ships_a_package_of_our_name(package: str) -> None:
    others = {
        distribution.name
        for distribution in metadata.distributions()
        if distribution.name != "colega"
        for file in distribution.files or []
        if file.parts[0] == package
    }

    assert not others


def test_every_init_file_is_empty() -> None:
    assert not [_named(path) for path in SOURCES if path.name == "__init__.py" and path.read_text(encoding="utf-8")]
