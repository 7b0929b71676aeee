"""docs/security.md promises nothing that no test holds."""

import re
from pathlib import Path

import pytest

from services.settings import service as settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part.rpartition("/")[2])
def test_each_test_that_is_named_is_there(file: str, name: str) -> None:
    text = (ROOT / file).read_text("utf-8")

    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("number", range(1, 11))
def test_each_of_the_owasp_ten_is_held_by_a_test(number: int) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| API{number} ")]

    assert re.search(r"`tests/[\w/]+\.py", row)


def test_each_setting_that_is_named_is_one() -> None:
    known = {f"COLEGA_{field.upper()}" for group in settings.GROUPS for field in group.model_fields}

    named = {name.removesuffix("_FILE") for name in re.findall(r"COLEGA_[A-Z0-9_]+", PAGE)}
    assert named <= known


def test_it_says_plainly_what_is_not_there() -> None:
    assert "no presentation-attack detection" in PAGE
    assert "must not open doors by itself" in PAGE
