"""The auditor: the one chain of a gateway process, written in groups by a thread of its own.

A request hands its entry over and waits until the group that it is in is committed. While the catalog is away or locked, entries
stay here in their order, a bounded number of them, and are written when it is back; meanwhile :meth:`Auditor.ready` refuses what
would have to be audited before anything is done.
"""

import os
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Condition, Event, Thread

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.catalog.auditing import writing as audit
from services.catalog.auditing.writing import ChainBroken, Entry, Intent
from services.catalog.engine import Catalog
from services.catalog.schema import new_id
from services.errors import AuditUnavailable, CatalogUnavailable
from services.gateway.auditing.chain import Chain
from services.gateway.auditing.counted import Refusals, Sight, Watches
from services.logs import logger
from services.settings.audit import Auditing

PATIENCE_S = 5.0
"""An answer waits for its group so long, and is a 503 then."""
PATIENCE_OF_A_CHANGE_S = 1.0
"""What was done is answered then all the same: that it was under way is in the catalog."""
_UNDER_WAY_S = 2.0
"""So much longer where the group is being committed just then."""
_GATHER_S = 0.003
_MOST_IN_A_GROUP = 500
_MOST_WAITING = 10_000
_AGAIN_S = (0.1, 0.2, 0.5, 1.0)
_A_MOMENT_S = 0.5


@dataclass(slots=True)
class Waiting:
    """What is to be written: an entry, or that something is under way."""

    entry: Entry | None
    intent: Intent | None = None
    settles: tuple[str, ...] = ()
    """Intents that the entry says the end of."""
    taken: bool = False
    """Whether a group that is being committed has it."""
    done: Event = field(default_factory=Event)


class Auditor:
    """Writes the audit of one process. Safe to share between threads; a fork gets a chain of its own."""

    def __init__(self, catalog: Catalog, settings: Auditing, *, anchor_every_s: float = 60.0) -> None:
        self.is_on = settings.audit
        self._catalog, self._days, self._anchor_every_s = catalog, settings.audit_days, anchor_every_s
        start_anew = weakref.WeakMethod(self._start_anew)
        os.register_at_fork(after_in_child=lambda: one() if (one := start_anew()) is not None else None)
        self._start_anew()

    def _start_anew(self) -> None:
        """As at the beginning, and as in a process that was forked: nothing written yet, and no thread."""
        self._changed = Condition()
        self._pending: deque[Waiting] = deque()
        self._refusals, self._watches = Refusals(), Watches()
        self._thread: Thread | None = None
        self._chain = Chain(self._days, self._anchor_every_s)
        self._tried = 0
        """How many the last group had."""
        self._missed = 0
        self._failures = 0
        self._closing = False
        self._is_asked_for = False
        """Whether somebody waits for it to be well again."""

    @property
    def chain(self) -> str:
        """What the chain of this process is called."""
        return self._chain.name

    @property
    def waiting(self) -> int:
        """How many entries are still to be written."""
        return len(self._pending)

    @property
    def is_well(self) -> bool:
        """Whether entries are written as they come."""
        return not self._failures and len(self._pending) < _MOST_WAITING

    @property
    def anchored_ago_s(self) -> float | None:
        """Since the chain was last anchored; None: nothing was to be written yet."""
        return None if self._chain.anchored_s is None else time.monotonic() - self._chain.anchored_s

    def ready(self) -> None:
        """See that what would be audited can be. What failed before is tried again at once, and waited for a moment.

        Raises:
            AuditUnavailable: The catalog could not be written just now.
        """
        if self.is_well:
            return
        with self._changed:
            self._is_asked_for = True
            self._changed.notify_all()
            is_well = self._changed.wait_for(lambda: self.is_well, _A_MOMENT_S)
        if not is_well:
            raise AuditUnavailable(
                "What is asked must be written down first, and the catalog cannot be written just now."
            )

    def write(self, entry: Entry, *, settles: Sequence[str] = (), patience_s: float | None = None) -> bool:
        """Have *entry* written and wait for it; False: it is not yet, and says 503 then unless it *settles* a change."""
        waiting = Waiting(entry, settles=tuple(settles))
        if patience_s is None:
            patience_s = PATIENCE_OF_A_CHANGE_S if settles else PATIENCE_S
        return self._put(waiting) and self._await(waiting, patience_s)

    def refuse(self, entry: Entry) -> None:
        """Have a refusal written: the first of its cause at once, others of the same second as one entry that counts them."""
        with self._changed:
            closed, is_first = self._refusals.take(entry, time.monotonic())
        for one in [*closed, *([entry] if is_first else [])]:
            waiting = Waiting(one)
            if self._put(waiting) and not self._failures:
                waiting.done.wait(1.0)

    def watch(self, key: str, collection: str | None, action: str, at: float, sight: Sight) -> bool:
        """Count what a live camera does: one entry a minute. False: that it does so cannot be written down."""
        intent = Intent(new_id("int"), at, key, action, collection)
        with self._changed:
            is_new = self._watches.add(intent, sight, time.monotonic())
        if not is_new:
            return True
        waiting = Waiting(None, intent)
        return self._put(waiting) and self._await(waiting, PATIENCE_S)

    def is_watched(self, key: str, collection: str | None, action: str) -> bool:
        """Whether a live camera is being counted."""
        return self._watches.has(key, collection, action)

    def flush(self, patience_s: float = PATIENCE_S) -> bool:
        """Wait until all that was handed over is written, refusals that are still being counted included."""
        with self._changed:
            counted = self._refusals.close_all()
        for one in counted:
            self._put(Waiting(one))
        if not self._pending:
            return True
        marker = Waiting(None)
        return self._put(marker) and self._await(marker, patience_s)

    def intend(self, session: Session, intent: Intent) -> None:
        """Note in the transaction of a change that it is under way."""
        audit.intend(session, self.chain, intent)

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Write what is left, and that the chain has ended. Without the catalog it stays unended."""
        with self._changed:
            thread, self._closing = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join(patience_s)

    def _put(self, waiting: Waiting) -> bool:
        with self._changed:
            if self._closing or (len(self._pending) >= _MOST_WAITING and not waiting.settles):
                self._missed += 1
                return False
            self._pending.append(waiting)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="auditor", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def _await(self, waiting: Waiting, patience_s: float) -> bool:
        if waiting.done.wait(patience_s):
            return True
        with self._changed:
            if not waiting.taken:
                self._give_up(waiting)
                return waiting.done.is_set()
        if waiting.done.wait(_UNDER_WAY_S):
            return True
        with self._changed:
            self._give_up(waiting)
        return waiting.done.is_set()

    def _give_up(self, waiting: Waiting) -> None:
        """What was asked is not told, so the entry must not say that it was; a change that was made it tells all the same."""
        if waiting.entry is not None and not waiting.settles and not waiting.done.is_set():
            waiting.entry = replace(waiting.entry, outcome=AuditUnavailable.status, details=None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._pending) or self._closing, self._idle_s())
                closing = self._closing
            if not closing:
                time.sleep(_GATHER_S)
            self._count(closing=closing)
            if not self._pending and not closing and time.monotonic() < self._chain.next_round_s:
                continue
            if not self._commit(closing=closing) and not closing:
                self._pause()
            if closing and (self._failures or not self._pending):
                return

    def _pause(self) -> None:
        """Before the next try: longer each time, unless somebody asks."""
        time.sleep(_AGAIN_S[0] / 2)
        with self._changed:
            pause_s = _AGAIN_S[min(self._failures, len(_AGAIN_S)) - 1]
            self._changed.wait_for(lambda: self._is_asked_for or self._closing, pause_s)
            self._is_asked_for = False

    def _idle_s(self) -> float | None:
        """How long nothing is to be done; None: until something comes."""
        if not self._chain.has_begun and not self._pending:
            return None
        due = [self._chain.next_round_s, *self._refusals.due(), *self._watches.due()]
        return max(min(due) - time.monotonic(), 0.01)

    def _count(self, *, closing: bool) -> None:
        """Make entries of what was counted for long enough, and of what there was no room for."""
        now_s = time.monotonic()
        with self._changed:
            self._pending.extend(Waiting(one) for one in self._refusals.close(now_s, everything=closing))
            for entry, intent in self._watches.close(now_s, everything=closing):
                self._pending.append(Waiting(entry, settles=(intent,)))
            if self._missed and len(self._pending) < _MOST_WAITING:
                missed = Entry(_now(), None, "audit.missed", outcome=503, details={"count": self._missed})
                self._pending.append(Waiting(missed))
                self._missed = 0

    def _commit(self, *, closing: bool) -> bool:
        """Write a group, and what is due besides; False: the catalog could not be written."""
        group: list[Waiting] = []
        try:
            with self._catalog.transaction() as session:
                session.connection()  # Waits for whoever is writing; what comes meanwhile is of the group, too.
                if self._chain.was_committed(session):
                    self._done(self._tried)
                group = self._take()
                self._tried = len(group)
                self._chain.write(
                    session,
                    [waiting.entry for waiting in group if waiting.entry is not None],
                    [waiting.intent for waiting in group if waiting.intent is not None],
                    [intent for waiting in group for intent in waiting.settles],
                    is_last=closing and len(self._pending) == len(group),
                )
        except (ChainBroken, IntegrityError):
            logger().error("audit.chain_broken", chain=self.chain)
            self._chain.begin_anew()
            return self._failed(group)
        except Exception as error:  # noqa: BLE001 - Whatever it is: this thread is the only one that writes.
            if not isinstance(error, CatalogUnavailable):
                logger().error("audit.failed", chain=self.chain, exc_info=error)
            return self._failed(group)
        self._chain.committed()
        if self._failures:
            logger().info("audit.resumed", chain=self.chain, waiting=len(self._pending))
        self._done(len(group))
        with self._changed:
            self._failures = 0
            self._changed.notify_all()
        return True

    def _failed(self, group: Sequence[Waiting]) -> bool:
        with self._changed:
            for waiting in group:
                waiting.taken = False
            self._failures += 1
        if self._failures == 1:
            logger().warning("audit.not_written", chain=self.chain, waiting=len(self._pending))
        return False

    def _done(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._pending.popleft().done.set()

    def _take(self) -> list[Waiting]:
        with self._changed:
            group = [self._pending[place] for place in range(min(len(self._pending), _MOST_IN_A_GROUP))]
            for waiting in group:
                waiting.taken = True
        return group


def _now() -> float:
    return round(time.time(), 3)
