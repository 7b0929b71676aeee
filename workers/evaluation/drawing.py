"""Drawings: a plot as a PNG file, and as SVG that takes its colours and its font from the page it stands in."""

import io
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

MODELS = ("#2563eb", "#e0592a", "#0f9d76", "#9333c9", "#b7860b", "#d6336c")
"""Of the models, in their order, told apart by those who see few colours too; a seventh begins again with dashes."""
INK, MUTED, GRID, SURFACE = "#1c2331", "#667086", "#e3e7ee", "#fefefe"
COLOURS = {INK: "--ink", MUTED: "--muted", GRID: "--grid", SURFACE: "--surface"} | {
    colour: f"--m{i}" for i, colour in enumerate(MODELS)
}
"""What each colour is called in the page's style sheet."""

_DPI = 160


@dataclass(frozen=True, slots=True)
class Drawn:
    """One plot."""

    name: str
    """Of its file, without an ending."""
    title: str
    caption: str
    wide: bool
    figure: Figure

    def png(self, path: Path) -> None:
        """Write it as a PNG on white."""
        self.figure.savefig(path, format="png", dpi=_DPI, facecolor="#ffffff", metadata={"Software": None})

    def svg(self) -> str:
        """The ``<svg>`` element, without colours of its own, without fonts, and without anything outside it."""
        out = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self.name}):
            self.figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return _themed(out.getvalue(), self.name, f"{self.title}. {self.caption}")


def _themed(svg: str, name: str, label: str) -> str:
    """*svg* as an element of a page: colours by name, the page's font, ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([a-z]+ )?([\d.]+)px [^;\"]*", _font, svg)
    for colour, variable in COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r' width="[\d.]+pt"| height="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def _font(found: "re.Match[str]") -> str:
    weight = f"font-weight: {found[1].strip()}; " if found[1] else ""
    return f"{weight}font-size: {found[2]}px"
