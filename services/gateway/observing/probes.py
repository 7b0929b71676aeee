"""Probes: asking each part whether it works, all at once and each for a short while only. One that hangs keeps no one waiting.

An answer is good for a quarter of a second, so that many who ask at once cost as much as one.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping

OK, AWAY, SLOW, UNKNOWN = "ok", "away", "slow", "unknown"

WITHIN_S = 2.0
"""So long an answer is waited for."""
_SLOW_S = 1.0
_GOOD_FOR_S = 0.25

States = Mapping[str, str]
"""By part."""


class Probe:
    """A question about a part, and about others that it tells of. From any thread; one is under way at most, however it hangs.

    Args:
        part: Whom it asks: that one is ``away`` where there is no answer, and ``slow`` where it takes its time.
        ask: Asks. Whatever it raises is no answer.
        others: What is not known without an answer.
    """

    def __init__(self, part: str, ask: Callable[[], States], *, others: Iterable[str] = ()) -> None:
        self._part, self._ask = part, ask
        self._nothing = {part: AWAY, **dict.fromkeys(others, UNKNOWN)}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._began_at, self._ended_at = -1e9, -1e9
        self._is_under_way = False
        self._said: States = self._nothing

    def begin(self) -> None:
        """Ask, unless the last answer is still good or is being waited for."""
        with self._lock:
            now = time.monotonic()
            if self._is_under_way or now - self._ended_at < _GOOD_FOR_S:
                return
            self._is_under_way, self._began_at = True, now
            self._done.clear()
        threading.Thread(target=self._run, name=f"probe-{self._part}", daemon=True).start()

    def said(self, until: float) -> States:
        """What it has said until then, by the monotonic clock, or within the time of a question that was under way before."""
        late = min(until, self._began_at + WITHIN_S)
        return self._said if self._done.wait(max(late - time.monotonic(), 0.0)) else self._nothing

    def _run(self) -> None:
        try:
            said = dict(self._ask())
        except Exception:  # noqa: BLE001 - Whatever is wrong, it does not work.
            said = self._nothing
        with self._lock:
            self._ended_at = time.monotonic()
            if said.get(self._part) == OK and self._ended_at - self._began_at > _SLOW_S:
                said = {**said, self._part: SLOW}
            self._said, self._is_under_way = said, False
            self._done.set()


def ask_all(probes: Iterable[Probe]) -> dict[str, str]:
    """What all of them say, asked at once."""
    asked = list(probes)
    for probe in asked:
        probe.begin()
    until = time.monotonic() + WITHIN_S
    return {part: state for probe in asked for part, state in probe.said(until).items()}
