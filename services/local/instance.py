"""``DATA/instance.json``: what one running service on this machine is reached by, and what it keeps between starts.

Readable by its owner alone. The command line finds URL and key in it; everything else is for ``colega up``.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from services.errors import CannotStart

FILE_NAME = "instance.json"
WRAPPING_KEY = Path("keys") / "wrapping"
"""Where a data folder has the key that everything in the photo store is sealed under, in a backup of its own."""


@dataclass(slots=True)
class Instance:
    """One service on this machine: where it is, its first key, and the ports and secrets of its servers."""

    url: str | None = None
    certificate: str | None = None
    """Where the only certificate is that is to be trusted at the URL; None: it is plain HTTP."""
    api_key: str | None = None
    ports: dict[str, int] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Path) -> Self:
        """What *data* holds; a new instance where there is none yet.

        Raises:
            CannotStart: The file is there and cannot be understood.
        """
        path = data / FILE_NAME
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise CannotStart(f"{path} cannot be read: {error}. Restore it from a backup of the folder.") from None

    def write(self, data: Path) -> None:
        """Replace the file in one step, so that nobody ever reads half of it."""
        path = data / FILE_NAME
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def secret(self, name: str) -> str:
        """The secret called *name*, made now if there is none; the caller writes the file."""
        return self.secrets.setdefault(name, secrets.token_hex(24))
