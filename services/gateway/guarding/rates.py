"""Rates: how often something may happen."""

import threading
import time
from collections.abc import Callable


class Rate:
    """So many at once, and so many a second in the long run. Safe to share between threads."""

    def __init__(self, per_s: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._at_once, self._clock = per_s, float(at_once), clock
        self._left, self._looked_at = float(at_once), clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Count one more. False: that would be too many now."""
        with self._lock:
            moment = self._clock()
            self._left = min(self._at_once, self._left + (moment - self._looked_at) * self._per_s)
            self._looked_at = moment
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True
