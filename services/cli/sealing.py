"""``sealing``."""

import typer

from services.cli import terminal
from services.cli.main import Json
from services.cli.service import Document

_STATES = {
    "sealed": "Everything is encrypted.",
    "sealing": "Photos from before are being encrypted: {plain_photos:,} to go.",
    "unsealed": "Nothing is encrypted: COLEGA_WRAPPING_KEYS is not set.",
}


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    sealing = typer.Typer(help="Encryption of what is kept.", no_args_is_help=True, rich_markup_mode=None)
    sealing.command("show")(show)
    sealing.command("rewrap")(rewrap)
    app.add_typer(sealing, name="sealing")


def show(context: typer.Context, as_json: Json = False) -> None:
    """Whether photos, chips and snapshots are encrypted, and under which wrapping keys."""
    with context.obj.client() as client:
        found = client.sealing.show()
    if as_json:
        terminal.document(found)
        return
    terminal.say(sentence(found))
    _table(found)


def rewrap(context: typer.Context, as_json: Json = False) -> None:
    """Wrap all keys anew under the newest wrapping key, and say when an old one is needed no more.

    No object is touched. Stopped and started again, it goes on.
    """
    rewrapped = 0
    with context.obj.client() as client:
        while True:
            found = client.sealing.rewrap()
            rewrapped += found["rewrapped"]
            if not found["left"]:
                break
            terminal.complain(f"{rewrapped:,} keys wrapped anew, {found['left']:,} to go")
    if as_json:
        terminal.document({**found, "rewrapped": rewrapped})
        return
    terminal.say(f"{rewrapped:,} keys wrapped anew.")
    _table(found)
    unneeded = [one["id"] for one in found["wrapping_keys"] if not one["newest"]]
    if unneeded:
        terminal.say(
            f"Needed no more: {', '.join(unneeded)}. Take it out of COLEGA_WRAPPING_KEYS once every process has the new one; "
            "backups made until now need it still."
        )


def sentence(found: Document) -> str:
    """The state of sealing in a sentence."""
    return _STATES[found["state"]].format(plain_photos=found["plain_photos"])


def _table(found: Document) -> None:
    rows = [
        [one["id"], one["keys"], "newest" if one["newest"] else "", "yes" if one["given"] else "MISSING"]
        for one in found["wrapping_keys"]
    ]
    if rows:
        terminal.table(["wrapping key", "keys under it>", "", "given"], rows)
