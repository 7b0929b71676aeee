"""Documentation that cannot rot: what the code has, the pages have."""

import re
from pathlib import Path

import pytest

from benchmarks import pages

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", list(pages.pages()), ids=_named)
def test_a_generated_page_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == pages.pages()[path], "Run: make docs"


@pytest.mark.parametrize("path", WRITTEN, ids=_named)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))

    assert not [link for link in links if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", WRITTEN, ids=_named)
def test_every_file_and_module_of_ours_that_is_named_is_there(path: Path) -> None:
    """Those that are written as code: a moved module takes its sentences along. Results are written where they are asked for."""
    text = path.read_text(encoding="utf-8")
    ours = "tests|benchmarks|services|workers|index|infra|examples"
    files = re.findall(rf"\b(?:{ours})/[\w./-]*\w\.(?:py|yml|yaml|json|in)\b", text)
    modules = re.findall(rf"python -m ((?:{ours})(?:\.[a-z0-9_]+)+)", text)
    places = [ROOT / module.replace(".", "/") for module in modules]

    assert not [each for each in files if not (ROOT / each).exists() and not each.startswith("benchmarks/results/")]
    assert not [each for each in places if not each.with_suffix(".py").exists() and not (each / "__main__.py").exists()]
