"""Reports: one file that needs nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.unit.workers.evaluation.sets import gallery_of, vectors_of
from workers.evaluation import figures, measuring, plots, reports
from workers.evaluation.reports import Judged, Report

pytestmark = pytest.mark.slow
ABOUT = {"kind": "cosine", "digest": "0" * 64, "variant": "fp32", "dimension": 64, "licence": "none & <none>"}
SOURCE = {
    "kind": "directory",
    "people": 60,
    "people_told_apart": True,
    "people_with_two_photos": 60,
    "photos": 182,
    "faces": 180,
    "undetected": {"count": 2, "photos": ["Person <1>/none0.jpg", "Person <2>/none1.jpg"]},
    "unreadable": {"count": 0, "photos": {}},
}


class Outside(HTMLParser):
    """What a page asks its browser to fetch or run, and which tags it leaves open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note scripts, links, and every address that is not inside the page."""
        if tag in {"script", "link", "iframe", "object", "embed", "base"}:
            self.found.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href"} and not (value or "").startswith(("data:", "#")):
                self.found.append(f"{name}={value}")
            if name.startswith("on"):
                self.found.append(name)
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Match it with the last one opened."""
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    """Of two models."""
    return _page(thumbnails=True)


def test_a_report_loads_and_runs_nothing(page: str) -> None:
    """Whoever keeps it can read it in ten years, and nobody learns that they did."""
    outside = Outside()
    outside.feed(page)

    assert outside.found == []
    assert outside.open == []
    assert "url(http" not in page
    assert "@import" not in page


def test_names_are_written_and_not_obeyed(page: str) -> None:
    """A person may be called like a tag."""
    assert "Person &lt;1&gt;" in page
    assert "Person <1>" not in page


def test_pictures_are_of_chips_in_their_natural_proportions_and_said_to_be_personal() -> None:
    """And only where they are wanted."""
    assert "<img" in (page := _page(thumbnails=True))
    assert "personal data" in page
    assert "<img" not in (without := _page(thumbnails=False))
    assert "Pictures were left out" in without


def test_plots_take_their_colours_from_the_page(page: str) -> None:
    """Light or dark: no drawing has a colour of its own."""
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)

    assert len(drawings) == 6
    for drawing in drawings:
        assert "var(--" in drawing
        assert not re.findall(r"#[0-9a-f]{6}", drawing)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_plots_are_files_too(tmp_path: Path) -> None:
    """PNG, on white."""
    for drawn in plots.every([("one", _measured(0.6))]):
        drawn.png(tmp_path / f"{drawn.name}.png")

    names = {path.stem for path in tmp_path.iterdir()}
    assert names == {"roc", "det", "similarities", "open-set", "cmc", "n-way"}
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert picture.width > 800
            assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)


def test_figures_are_written_for_people() -> None:
    """Small rates keep their digits; what cannot be said is a dash."""
    assert reports.percent(0.91603, 1) == "91.6%"
    assert reports.percent(0.00012) == "0.012%"
    assert reports.percent(None) == "\N{EN DASH}"
    assert reports.points(-0.0123) == "\N{MINUS SIGN}1.23"
    assert reports.between((0.873, 0.95)) == "87.3 … 95.0"


def _measured(noise: float) -> measuring.Measured:
    return measuring.measured(_FACES, vectors_of(60, 3, noise), trials=200)


_GALLERY = gallery_of(60, 3, faceless=(1, 2))
_FACES = measuring.of_gallery(_GALLERY, draws=30, seed=0)


def _page(*, thumbnails: bool) -> str:
    models = []
    for name, noise in (("one", 0.6), ("two <b>", 1.0)):
        measured = _measured(noise)
        models.append(Judged(name, ABOUT, measured, figures.of(measured, _FACES)))
    told = {**models[1].figures, "difference_to_first": figures.differences(models[0].measured, models[1].measured)}
    models[1] = Judged(models[1].name, ABOUT, models[1].measured, told)
    drawn = plots.every([(one.name, one.measured) for one in models])
    report = Report("lfw & more", SOURCE, models, drawn, {"draws": 30, "trials": 200, "seed": 0}, thumbnails=thumbnails)
    report.pairs = {one.name: reports.worst(one.measured, _FACES, _GALLERY, thumbnails=thumbnails) for one in models}
    return reports.html(report)
