"""The generated pages of docs/: settings and problems. ``make docs`` writes them, a test sees that they are current."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from services import errors, settings

DOCS = Path(__file__).resolve().parents[1] / "docs"


def pages() -> dict[Path, str]:
    """Every generated page, by its path."""
    return {DOCS / "settings.md": settings_page(), DOCS / "problems.md": problems_page()}


def settings_page() -> str:
    """All settings with default and meaning, a table a group."""
    lines = [
        "# Settings",
        "",
        "`COLEGA_*` in the environment, or in a file named by `COLEGA_ENV_FILE` (the environment wins). A secret may also",
        "come from a file: append `_FILE` to its name. An unknown `COLEGA_` name is refused with the nearest valid one.",
        "`colega settings` prints these with the values in force. This page is generated: `make docs`.",
        "",
    ]
    for group in settings.GROUPS:
        lines += [f"## {group.__doc__.strip().splitlines()[0].rstrip('.')}" if group.__doc__ else "", ""]
        lines += ["| setting | default | meaning |", "| --- | --- | --- |"]
        for name, field in group.model_fields.items():
            secret = field.annotation is SecretStr or "SecretStr" in str(field.annotation)
            default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            shown = "" if default in {None, ""} else f"`{default}`"
            note = " Secret: also as `…_FILE`." if secret else ""
            lines.append(f"| `COLEGA_{name.upper()}` | {shown} | {field.description}{note} |")
        lines.append("")
    return "\n".join(lines)


def problems_page() -> str:
    """All problem types and all reasons of rejected items."""
    lines = [
        "# Problems",
        "",
        "Every error over HTTP is `application/problem+json` (RFC 9457). Its `type` is `/problems/` and one of the names below,",
        "stable across versions; `detail` says what went wrong with which value and what to do next; `request_id` is also in the",
        "header `X-Request-ID` and in the logs. An answer with 503 has `Retry-After`. This page is generated: `make docs`.",
        "",
        "| type | status | when |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{kind.type}` | {kind.status} | {_first_line(kind)} |" for kind in _tree(errors.ColegaError)]
    lines += [
        "",
        "## Reasons of rejected items",
        "",
        "As `reason` of an item, and as `/problems/photo-REASON` where one photo is refused at once.",
        "",
    ]
    lines += ["| reason | meaning |", "| --- | --- |"]
    lines += [f"| `{reason}` | {meaning} |" for reason, meaning in errors.REJECTIONS.items()]
    return "\n".join([*lines, ""])


def _tree(kind: type[errors.ColegaError]) -> Iterator[type[errors.ColegaError]]:
    yield kind
    for below in (k for k in kind.__subclasses__() if k.__module__ == errors.__name__):
        yield from _tree(below)


def _first_line(kind: type[errors.ColegaError]) -> str:
    return (kind.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ").replace("    ", "").split(" ``str(")[0]


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
