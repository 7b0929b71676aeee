"""``import --sync``: the command's side of it."""

from pathlib import Path

from services.cli import importing, syncing, terminal
from services.cli.main import Context, Exit
from services.cli.sync_told import Told, Wanted

_SHOWN = 30


def synchronise(context: Context, collection: str, wanted: Wanted, report: Path | None, *, as_json: bool) -> Exit:
    """Bring a collection in step with a folder, and tell what was done."""
    bar = terminal.progress()
    with context.client(collection) as client, bar:
        task = bar.add_task("reading", total=None, rate="")

        def on_progress(ended: int, total: int, rate: float | None) -> None:
            bar.update(task, completed=ended, total=total, rate=f"{rate:.0f}/s" if rate else "")

        told = syncing.run(client, wanted, on_progress)
    if report is not None:
        importing.write_report(told.outcomes, report)
    summary = told.summary()
    if as_json:
        terminal.document(summary)
    else:
        _show(told)
    failed = any(person["detail"] for person in told.updated)
    return Exit.SOME_REJECTED if summary["rejected"] or failed else Exit.OK


def _show(told: Told) -> None:
    summary = told.summary()
    if told.wanted.dry_run:
        terminal.say("Nothing is changed. This is what would be:")
        shown = [line for line in told.outcomes.lines if line.status not in {"unchanged", "skipped"}]
        terminal.table(
            ["file", "person", "would be", "reason"],
            ([x.path, x.person, x.status, x.reason or x.detail] for x in shown),
        )
    ends = ("new", "changed", "unchanged", "renamed", "done", "duplicate", "rejected", "missing", "removed")
    terminal.table(["files>", *(f"{end}>" for end in ends)], [[summary["files"], *(summary[end] for end in ends)]])
    rejected = [] if told.wanted.dry_run else [line for line in told.outcomes.lines if line.status == "rejected"]
    if rejected:
        rows = [(line.path, line.person, line.reason, line.detail) for line in rejected[:_SHOWN]]
        terminal.table(["rejected file", "person", "reason", "detail"], rows)
    if told.updated:
        terminal.table(
            ["changed person", "id", "could not be"], ([p["name"], p["id"], p["detail"]] for p in told.updated)
        )
    if told.missing:
        rows = [(p["name"], p["external_id"], p["id"], p["end"]) for p in told.missing]
        terminal.table(["no longer there", "external id", "id", ""], rows)
        if not told.wanted.remove_missing:
            terminal.say("--remove-missing erases them.")
