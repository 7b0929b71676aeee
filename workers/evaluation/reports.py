"""Reports: an evaluation as one HTML file that needs nothing else, light or dark, on screen or on paper."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from PIL import Image

from services.version import __version__
from workers.evaluation import measuring
from workers.evaluation.drawing import COLOURS, MODELS, Drawn
from workers.evaluation.measuring import Faces, Measured, Pair
from workers.faces import chips
from workers.faces.values import Chip
from workers.galleries import Gallery

_THUMBNAIL_PX = 128
_SHOWN = 0.94
"""Of the chip's longer side."""
_THUMBNAIL_QUALITY = 82
_DARK = {
    "--ink": "#e7eaf0",
    "--muted": "#97a1b3",
    "--grid": "#2a3140",
    "--surface": "#171b23",
    "--m0": "#6ea4ff",
    "--m1": "#ff9166",
    "--m2": "#41d1a6",
    "--m3": "#c48dff",
    "--m4": "#e3bd55",
    "--m5": "#ff82ae",
}
_LISTED = 200
"""Photos that an appendix names; it counts the rest."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One model of a report."""

    name: str
    about: Mapping[str, Any]
    """``digest``, ``variant``, ``dimension``, ``licence``, ``kind``."""
    measured: Measured
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair of faces in a report."""

    similarity: float
    faces: Sequence["ShownFace"]


@dataclass(frozen=True, slots=True)
class ShownFace:
    """One of them."""

    person: str
    photo: str
    picture: str | None
    """A ``data:`` address, where faces are shown."""


@dataclass(slots=True)
class Report:
    """What a report tells."""

    title: str
    source: Mapping[str, Any]
    """As in the result."""
    models: Sequence[Judged]
    plots: Sequence[Drawn]
    how: Mapping[str, Any]
    thumbnails: bool
    notes: Sequence[str] = ()
    pairs: Mapping[str, tuple[Sequence[Shown], Sequence[Shown]]] = field(default_factory=dict)
    """By model: the worst false matches and misses."""


def html(report: Report) -> str:
    """The whole page."""
    return page(
        "report.html",
        report=report,
        first=report.models[0],
        colours=[f"var(--m{i % len(MODELS)})" for i in range(len(report.models))],
        listed=_LISTED,
        decision=measuring.decision(report.models[0].measured.verified),
    )


def page(template: str, **shown: Any) -> str:  # noqa: ANN401 - whatever it shows
    """A page made of a template beside this file: nothing in it comes from outside, and what is shown is escaped."""
    environment = Environment(
        loader=FunctionLoader(lambda name: resources.files("workers.evaluation").joinpath(name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"percent": percent, "between": between, "points": points, "signed": signed}
    return environment.get_template(template).render(
        **shown,
        light={name: colour for colour, name in COLOURS.items()},
        dark=_DARK,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
    )


def worst(measured: Measured, faces: Faces, gallery: Gallery, *, thumbnails: bool) -> tuple[list[Shown], list[Shown]]:
    """The pairs of *measured* that deserve a look, with their faces: false matches, then misses."""
    return (
        [_shown(pair, faces, gallery, thumbnails=thumbnails) for pair in measured.false_matches],
        [_shown(pair, faces, gallery, thumbnails=thumbnails) for pair in measured.misses],
    )


def _shown(pair: Pair, faces: Faces, gallery: Gallery, *, thumbnails: bool) -> Shown:
    shown = [
        ShownFace(
            faces.names[int(faces.photos.people[row])],
            faces.paths[row],
            picture(gallery.chips[row]) if thumbnails else None,
        )
        for row in (pair.first, pair.second)
    ]
    return Shown(pair.similarity, shown)


def picture(chip: Chip) -> str:
    """The middle of a chip as a ``data:`` address, square, in its natural proportions: a chip is stretched on each side."""
    scale_x, scale_y = (float(np.linalg.norm(row[:2])) for row in chip.map)
    side = _SHOWN * chips.CHIP_PX / max(scale_x, scale_y)
    half_x, half_y = side * scale_x / 2, side * scale_y / 2
    middle = chips.CHIP_PX / 2
    out = io.BytesIO()
    Image.fromarray(chips.decode(chip.jpeg)).resize(
        (_THUMBNAIL_PX, _THUMBNAIL_PX),
        Image.Resampling.BICUBIC,
        (middle - half_x, middle - half_y, middle + half_x, middle + half_y),
    ).save(out, "JPEG", quality=_THUMBNAIL_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def percent(share: float | None, digits: int = 2) -> str:
    """A share as people read it; a dash where nothing can be said."""
    if share is None:
        return "\N{EN DASH}"
    if 0 < share < 0.0005:
        return f"{100 * share:.2g}%"
    return f"{100 * share:.{digits}f}%"


def between(interval: Sequence[float] | None, digits: int = 1) -> str:
    """A 95% interval of a share."""
    if interval is None:
        return ""
    if interval[1] < 0.0005:
        digits = 4
    return f"{100 * interval[0]:.{digits}f} … {100 * interval[1]:.{digits}f}"


def points(share: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100 * share:+.2f}".replace("-", "\N{MINUS SIGN}")


def signed(interval: Sequence[float] | None) -> str:
    """A 95% interval of a difference."""
    return "" if interval is None else " … ".join(points(each) for each in interval)
