"""The report of a comparison: one HTML file that needs nothing else, light or dark, on screen or on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.evaluation import shadow_plots
from workers.evaluation.reports import page, picture
from workers.evaluation.shadow import Asked, Seen
from workers.evaluation.shadow_figures import Thresholds
from workers.evaluation.shadow_worst import FELL, GAINED, LOST, MISTAKEN, WORST, Answer, Changed

_HEADINGS = {
    LOST: "Recognised before, and not any more",
    MISTAKEN: "Taken for somebody else now",
    FELL: "Fell most in rank or lead",
    GAINED: "Recognised only now",
}
_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a report tells."""

    title: str
    """The collection."""
    result: Mapping[str, Any]
    """What :func:`workers.comparing.compare` returns."""
    against: str | None
    """What the policy says against switching."""
    asked: Asked
    thresholds: Thresholds
    lists: Mapping[str, Sequence[Changed]]
    seen: Mapping[int, Seen]
    """Who and what the faces of *lists* are, by number."""
    thumbnails: bool


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What one model said, as the page has it."""

    who: str
    """The name of whoever comes first; a dash where they are gone."""
    picture: str | None
    said: str
    """Rank and scores, in a few words."""
    outcome: str | None


@dataclass(frozen=True, slots=True)
class ShownChange:
    """A face whose search changes, as the page has it."""

    person: str
    photo: str
    pictures: Sequence[str]
    """The face that is searched with: one picture, two where the detection is another one."""
    before: ShownAnswer
    after: ShownAnswer


def html(report: Report) -> str:
    """The whole page."""
    shown = {name: _shown(report, some) for name, some in report.lists.items()}
    return page(
        "shadow.html",
        title=report.title,
        r=report.result,
        against=report.against,
        plots=shadow_plots.every(report.asked, report.thresholds, seed=report.result["how"]["seed"]),
        lists=[(heading, shown[name]) for name, heading in _HEADINGS.items() if shown.get(name)],
        thumbnails=report.thumbnails,
        most=WORST,
    )


def _shown(report: Report, some: Sequence[Changed]) -> list[ShownChange]:
    made: dict[int, str | None] = {}

    def pictured(number: int) -> str | None:
        if number not in made:
            face = report.seen.get(number)
            chip = None if face is None or not report.thumbnails else face.chip
            made[number] = None if chip is None else picture(chip)
        return made[number]

    def answer(said: Answer) -> ShownAnswer:
        first = report.seen.get(said.shown)
        own = "" if said.rank is None else f"own {_score(said.own)} (place {said.rank:,}), "
        words = f"{own}best other {_score(said.other)}"
        return ShownAnswer(_DASH if first is None else first.person, pictured(said.shown), words, said.outcome)

    shown: list[ShownChange] = []
    for change in some:
        face = report.seen.get(change.before_face)
        if face is None:
            continue
        pictures = [pictured(number) for number in dict.fromkeys((change.before_face, change.after_face))]
        kept = list(dict.fromkeys(each for each in pictures if each is not None))
        shown.append(ShownChange(face.person, face.photo_id, kept, answer(change.before), answer(change.after)))
    return shown


def _score(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")
