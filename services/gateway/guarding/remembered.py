"""Whom this gateway has let in lately: so that they see how things are while the catalog is away, and nothing else.

Kept in memory under a hash of what was shown, for ten minutes. A key that is revoked while the catalog is away is not known to be.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from services.catalog.schema import ApiKey
from services.catalog.tables.console import ConsoleSession

TELLS = {"metrics", "status.show", "console.status"}
"""Endpoints that tell how things are."""

_LIVES_S = 600.0
_MOST = 1000


class LetIn(NamedTuple):
    """Who was let in, by which key, and in which session of the console."""

    key: ApiKey
    session: ConsoleSession | None
    at: float


class Remembered:
    """From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, LetIn] = OrderedDict()

    def note(self, shown: str, key: ApiKey, session: ConsoleSession | None = None) -> None:
        """Remember who has shown that."""
        with self._lock:
            self._known[_hash(shown)] = LetIn(key, session, time.monotonic())
            self._known.move_to_end(_hash(shown))
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def who(self, shown: str) -> LetIn | None:
        """Who has shown that in the last ten minutes, and whose key and session have not run out since."""
        with self._lock:
            found = self._known.get(_hash(shown))
        if found is None or time.monotonic() - found.at > _LIVES_S:
            return None
        ends = (found.key.expires_at, None if found.session is None else found.session.expires_at)
        return None if any(end is not None and end < time.time() for end in ends) else found

    def forget(self, shown: str) -> None:
        """That is not valid any more."""
        with self._lock:
            self._known.pop(_hash(shown), None)


def _hash(shown: str) -> str:
    return hashlib.sha256(shown.encode()).hexdigest()
