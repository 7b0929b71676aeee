"""The chain of a gateway process: where it stands, and what is written besides entries: that it lives, heads, what is old."""

import time
from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.catalog.auditing import writing as audit
from services.catalog.auditing.writing import Entry, Intent, Tip
from services.catalog.schema import new_id
from services.logs import logger

_PRUNE_EVERY_S = 3600.0
_DAY_S = 86_400.0


class Chain:
    """Written to by one thread. What a transaction has done counts when :meth:`committed` says so."""

    def __init__(self, days: int, anchor_every_s: float) -> None:
        self._days, self._anchor_every_s = days, anchor_every_s
        self._next_prune_s = 0.0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another chain, which is written with its first entry."""
        self.name = new_id("chn")
        self._tip: Tip | None = None
        self._tried: Tip | None = None
        """Where the last transaction would have led, until its end is known."""
        self._head: str | None = None
        """Which head that one wrote."""
        self._was_due = False
        self._anchored = 0
        self.next_round_s = 0.0
        """When it is to be said next that the process lives, and how far its chain is."""

    @property
    def has_begun(self) -> bool:
        """Whether anything of it is written."""
        return self._tip is not None

    @property
    def anchored_s(self) -> float | None:
        """When it was last said that the process lives and how far its chain is, by the monotonic clock; None: not yet."""
        return self.next_round_s - self._anchor_every_s if self.has_begun else None

    def was_committed(self, session: Session) -> bool:
        """Whether a transaction whose answer was lost was done all the same; asked in the next one, at its beginning."""
        tried, self._tried = self._tried, None
        if tried is None or audit.tip_of(session, tried.chain) != tried:
            return False
        self._tip = tried
        return True

    def write(
        self,
        session: Session,
        entries: Sequence[Entry],
        intents: Sequence[Intent],
        settles: Sequence[str],
        *,
        is_last: bool,
    ) -> None:
        """A group, and what is due besides.

        Raises:
            ChainBroken: Somebody else has written to the chain.
        """
        now_s, at = time.monotonic(), round(time.time(), 3)
        is_due = self._was_due = is_last or now_s >= self.next_round_s
        tip = self._tip or audit.begin(session, at, self.name)
        more: list[Entry] = []
        if is_due:
            audit.alive(session, tip)
            more += audit.adopt(session, tip.chain)
        if self._days and now_s >= self._next_prune_s:
            if pruned := audit.prune(session, at - self._days * _DAY_S):
                more.append(Entry(at, None, audit.PRUNE, details={"chains": pruned}))
            else:
                self._next_prune_s = now_s + _PRUNE_EVERY_S
        if entries or more:
            tip = audit.append(session, tip, [*entries, *more])
        for intent in intents:
            audit.intend(session, tip.chain, intent)
        audit.settle(session, settles)
        self._head = None
        if is_last or (is_due and tip.sequence > self._anchored):
            self._head = "ended" if is_last else "anchored"
            tip = audit.head(session, tip, self._head)
        self._tried = tip

    def committed(self) -> None:
        """What was written last is in the catalog."""
        if self._was_due:
            self.next_round_s = time.monotonic() + self._anchor_every_s
        tip = self._tip = self._tried
        self._tried = None
        if tip is not None and self._head is not None:
            self._anchored = tip.sequence
            logger().info(f"audit.{self._head}", chain=tip.chain, sequence=tip.sequence, hash=tip.hash.hex())
