"""The default model, made once a run: it takes seconds and 140 MB, and every service wants it in a folder of its own."""

import os
import shutil
from pathlib import Path

_NAME = "casia-webface"

_kept_in: Path | None = None


def keep_in(folder: Path) -> None:
    """Where the one of this run is; that of no run is made by whoever needs it."""
    global _kept_in  # noqa: PLW0603 - One a process, set when its tests begin.
    _kept_in = folder


def put(models: Path) -> None:
    """See that the folder *models* has the default model, as a start of the service leaves it there.

    Its files are links to those of the run: whoever alters one writes it anew, as colega does.
    """
    if _kept_in is None or (models / _NAME).exists():
        return
    from workers.models import casia_webface  # A second to import.

    made = casia_webface.build(_kept_in / _NAME)
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copytree(made.directory, models / _NAME, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # Another file system.
        shutil.copy2(source, target)
