"""Rebuilds as people see them: lists, the plan, how far one is, how it compares, and what could not be carried over."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.cli import terminal
from services.cli.service import Document

_ACCURACY = {
    "rank1": "rank-1",
    "tmr_at_fmr_1e-3": "TMR at FMR 1e-3",
    "fnir_at_fpir_5e-2": "FNIR at FPIR 5%",
}
_SOURCES = {
    "chips": "from their chips",
    "mixed": "from their chips, where those are missing from photos",
    "raw": "looked for anew in the photos",
}


def table(found: Sequence[Document], *, as_json: bool) -> None:
    """Rebuilds for people, or as JSON."""
    if as_json:
        terminal.document(list(found))
        return
    rows = [
        [
            one["id"],
            one["state"],
            one["model"],
            one["detector"],
            one["source"],
            one["progress"]["done"],
            one["progress"]["total"],
            _counted(one["findings"]),
            one["created_at"][:16].replace("T", " "),
        ]
        for one in found
    ]
    columns = ["rebuild", "state", "model", "detector", "source", "done>", "of>", "findings", "created"]
    terminal.table(columns, rows)


def whole(rebuild: Document) -> None:
    """One rebuild, with all that there is to say of it."""
    table([rebuild], as_json=False)
    plan(rebuild)
    terminal.say(progress(rebuild))
    if rebuild["waiting_for"]:
        terminal.say(f"waits for: {', '.join(rebuild['waiting_for'])}")
    if rebuild["error"]:
        terminal.say(rebuild["error"])
    comparison(rebuild)


def progress(rebuild: Mapping[str, Any]) -> str:
    """How far a rebuild is, as a line of text."""
    told = rebuild["progress"]
    what = "photos" if rebuild["source"] == "raw" else "faces"
    words = [f"{rebuild['state']}: {told['done']:,} of {told['total']:,} {what}"]
    if told["rate"]:
        words.append(f"{told['rate']:,.3g} a second" if told["rate"] < 10 else f"{told['rate']:,.0f} a second")
    if told["eta_s"]:
        words.append(f"{duration(told['eta_s'])} left")
    return ", ".join(words)


def plan(rebuild: Document) -> None:
    """What a rebuild takes; nothing before that is known."""
    told = rebuild["plan"]
    if told is None:
        return
    if told["source"] == "none":
        terminal.say(f"plan: {rebuild['model']} with {rebuild['detector']} is kept ready: nothing is embedded")
        return
    words = [f"plan: {told['faces']:,} faces of {told['photos']:,} photos, {_SOURCES[told['source']]}"]
    if told["seconds"] is not None:
        words.append(f"about {duration(told['seconds'])} with {told['workers']} workers")
    words.append(f"{_size(told['catalog_bytes'])} in the catalog, {_size(told['store_bytes'])} in the photo store")
    words.append(f"{_size(told['memory_bytes'])} of memory in every searcher")
    terminal.say("; ".join(words))
    if told["cut_again"]:
        terminal.say(f"{told['cut_again']:,} chips are missing, and are cut again from their photos")
    if told["missing"]:
        terminal.say(f"{told['missing']:,} are missing, and left out")


def comparison(rebuild: Document) -> None:
    """How a rebuild compares with what it replaces; nothing before it was compared."""
    told = rebuild["comparison"]
    if told is None:
        return
    names = [rebuild["before"]["model"] or "before", rebuild["model"]]
    if names[0] == names[1]:
        names = ["before", "after"]
    rows = [[_ACCURACY[name], *_sides(one)] for name, one in told["accuracy"].items() if one is not None]
    accepts = [told["decides"][side]["threshold"] for side in ("before", "after")]
    rows.append(["accepts from", *(terminal.number(each) for each in accepts), "", ""])
    terminal.table(["", *(f"{name}>" for name in names), "difference>", "95% interval>"], rows)
    for where, whose in (("gallery", "searches by enrolled faces"), ("queries", "recent searches")):
        if told[where] is not None:
            terminal.say(f"{whose}: {_alike(told[where])}")
    for figure, why in told["not_said"].items():
        terminal.say(f"{figure}: {why}")


def findings(found: Sequence[Document]) -> None:
    """What could not simply be carried over."""
    rows = [
        [
            one["number"],
            one["kind"],
            one["photo_id"],
            one["face_id"],
            ", ".join(one["candidates"]) or one["object_key"],
            _decided(one),
        ]
        for one in found
    ]
    terminal.table(["finding>", "kind", "photo", "face", "candidates or file", "decided"], rows)


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _sides(measured: Mapping[str, Any]) -> list[str]:
    interval = measured["difference_interval"]
    within = "" if interval is None else f"{interval[0]:+.2%} to {interval[1]:+.2%}"
    return [f"{measured['before']:.2%}", f"{measured['after']:.2%}", f"{measured['difference']:+.2%}", within]


def _alike(part: Mapping[str, Any]) -> str:
    words = [f"{share:.1%} of the first {k} in common" for k, share in part["overlap"].items() if share is not None]
    if part["rank1_agreement"] is not None:
        words.append(f"the same first person in {part['rank1_agreement']:.1%}")
    return ", ".join(words) or "too few people to say how alike the answers are"


def _decided(finding: Document) -> str:
    if finding["decided"] is None:
        return "to be decided" if finding["kind"] == "ambiguous" else ""
    return "as it was" if finding["decided"] == finding["face_id"] else finding["decided"]


def _counted(found: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.items()))


def _size(count: int) -> str:
    if count < 1_000_000:
        return f"{count / 1000:,.0f} kB"
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
