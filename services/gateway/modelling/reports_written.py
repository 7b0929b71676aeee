"""Reports as they are read: Markdown, plain text, or a page; from the same document."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

_TITLES = {
    "purpose": "Purpose and basis",
    "categories": "What is processed",
    "counts": "How much is held",
    "places": "Where it lies",
    "recipients": "Who may ask, and who is told",
    "transfers": "Transfers",
    "retention": "Retention",
    "erasures": "Erasures",
    "audit": "Audit",
    "accuracy": "Accuracy by group",
    "presentation_attacks": "Presentation attacks",
    "automated_decisions": "Automated decisions",
    "warnings": "To be looked at",
    "to_be_added": "What the controller has to add",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1d2026;background:#fff}"
    "dt{font-weight:600}dd{margin:0 0 .5rem}li{margin:.25rem 0}"
)


def of(report: Mapping[str, Any], how: str) -> str:
    """A report as ``md``, ``text`` or ``html``."""
    title = f"Privacy report: collection {report['collection']}"
    parts = [(_TITLES[name], list(_lines(report[name]))) for name in _TITLES]
    if how == "html":
        return _html(title, report["written_at"], parts)
    mark = how == "md"
    lines = [f"# {title}" if mark else title.upper(), "", f"Written {report['written_at']}.", ""]
    for heading, found in parts:
        lines += [f"## {heading}" if mark else heading.upper(), ""]
        lines += [f"- {_markdown(line) if mark else line}" for line in found] or ["- none"]
        lines.append("")
    return "\n".join(lines)


def _lines(said: object, name: str = "") -> Iterator[str]:
    """What a part says, a line each."""
    before = f"{name}: " if name else ""
    if isinstance(said, Mapping):
        for field, value in said.items():
            yield from _lines(value, f"{name}, {_word(field)}" if name else _word(field))
    elif isinstance(said, Sequence) and not isinstance(said, str):
        if not said and name:
            yield f"{before}none"
        for value in said:
            yield f"{before}{_one(value)}"
    else:
        yield f"{before}{_one(said)}"


def _one(value: object) -> str:
    if isinstance(value, str):
        return " ".join(value.split())
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        return "; ".join(f"{_word(field)} {_one(each)}" for field, each in value.items())
    if isinstance(value, Sequence):
        return ", ".join(_one(each) for each in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _word(field: object) -> str:
    return str(field).replace("_", " ")


def _markdown(line: str) -> str:
    """Nothing that was given from outside makes markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in line)


def _html(title: str, written_at: str, parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    body = [f"<h1>{escape(title)}</h1>", f"<p>Written {escape(written_at)}.</p>"]
    for heading, found in parts:
        rows = "".join(f"<li>{escape(line)}</li>" for line in found) or "<li>none</li>"
        body.append(f"<h2>{escape(heading)}</h2><ul>{rows}</ul>")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main>{"".join(body)}</main></body></html>'
