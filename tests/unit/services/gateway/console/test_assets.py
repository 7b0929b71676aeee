"""What pages are made of: vendored files as they were published, nothing written into pages that a policy would have to allow."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest

from services.gateway.console.assets import FOLDER, assets

TEMPLATES = FOLDER.parent / "templates"
VENDOR = FOLDER / "vendor"
OURS = sorted(path for path in FOLDER.rglob("*.js") if VENDOR not in path.parents)
MOST_BYTES = 150_000
"""Of a page without photos, packed as browsers get it; what every page loads has to leave room."""
SHARED = ("vendor/htmx-2.0.11.min.js", "js/colega.js", "js/session.js", "css/colega.css")


def test_every_vendored_file_is_the_one_that_was_published() -> None:
    told = dict(
        re.findall(r"^\| `([^`]+)` .* `([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    kept = {path.name for path in VENDOR.iterdir()} - {"README.md"}
    licences = {name for name in kept if name.endswith("LICENSE.txt")}

    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in told} == told
    assert kept - licences == set(told)
    assert all(
        any(name in line for line in (VENDOR / "README.md").read_text("utf-8").splitlines()) for name in licences
    )


def test_what_every_page_loads_leaves_most_of_its_weight_to_the_page() -> None:
    packed = assets().packed

    assert sum(len(packed[name]) for name in SHARED) < MOST_BYTES // 3
    assert sum(len(content) for content in packed.values()) < 2 * MOST_BYTES


def test_the_digest_covers_every_file() -> None:
    assert set(assets().plain) == {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}
    assert all(gzip.decompress(content) == assets().plain[name] for name, content in assets().packed.items())


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_a_template_writes_no_script_style_or_markup_of_others_into_a_page(path: Path) -> None:
    text = path.read_text("utf-8")

    assert not re.findall(r"\|\s*safe\b|Markup|autoescape", text)
    assert not re.findall(r"<[^>{]*\son[a-z]+\s*=", text), "event handlers belong into modules"
    assert not re.findall(r"<[^>]*\sstyle\s*=|<style", text), "style belongs into style sheets"
    assert not re.findall(r"hx-on|javascript:", text)
    scripts = re.findall(r"<script\b([^>]*)>", text)
    assert [each for each in scripts if "src=" not in each and 'type="application/json"' not in each] == []
    assert not re.findall(r"""(?:src|href|action|hx-\w+)\s*=\s*["']?(?:https?:)?//""", text), "nothing from elsewhere"


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_module_makes_no_markup_of_text_and_reaches_nobody_else(path: Path) -> None:
    text = path.read_text("utf-8")

    assert not re.findall(
        r"\.(?:innerHTML|outerHTML)\s*=|insertAdjacentHTML|document\.write|\beval\(|new Function", text
    )
    assert not re.findall(r"""["'`](?:https?:)?//(?!www\.w3\.org/)[a-z]""", text)
