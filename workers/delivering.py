"""Delivering: what happened is sent to webhooks, at least once, of one subject in order, and none waits for another's target.

Everything is in the catalog. Whoever delivers claims some deliveries for half a minute, has each sent by a thread of its own, and
writes down how it went; killed at any moment, the next one goes on, and what was on its way then is sent once more.
"""

import contextlib
import os
import queue
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from services.catalog.engine import Catalog
from services.catalog.telling import announcing, deliveries, webhooks
from services.catalog.telling.deliveries import Claimed
from services.errors import Unavailable
from services.logs import logger
from services.targets import Server
from workers import alive
from workers.posting import Answer, post

CLAIMED_FOR_S = 30.0
"""Longer than any attempt takes."""
WITHIN_S = 10.0
"""How long one attempt may take."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 3600.0
"""Between attempts; each pause is twice the one before, a fifth more or less."""
TRIED_FOR_S = 86_400.0
"""What is older is given up at its next failure."""
LOOKS_EVERY_S = 1.0
AT_ONCE = 64
"""Attempts under way: more than there are webhooks, so that those that answer always find a place."""
AT_ONCE_EACH = 4
"""To one webhook that answers; to one that did not answer last: one."""
_ANNOUNCED_AT_ONCE = 200

Post = Callable[[Claimed], Answer]


@dataclass(frozen=True, slots=True)
class How:
    """How attempts are made."""

    private: bool
    """Whether private addresses may be connected to."""
    trust: ssl.SSLContext
    """Which certificates are believed."""
    within_s: float = WITHIN_S
    ours: frozenset[Server] = frozenset()
    """Servers of colega's own, which are never connected to."""

    def post(self, one: Claimed) -> Answer:
        """Make one."""
        return post(
            one.url,
            one.secret,
            one.event,
            one.body,
            private=self.private,
            trust=self.trust,
            within_s=self.within_s,
            ours=self.ours,
        )


class Deliverer:
    """One process's deliveries. :meth:`run` in a thread of its own; several processes may run one each.

    Args:
        catalog: Where webhooks and deliveries are.
        how: Makes one attempt.
        first_pause_s: After the first failure.
        claimed_for_s: After which others take over what was begun.
        looks_every_s: How often it is looked for something due while nothing comes back.
    """

    def __init__(
        self,
        catalog: Catalog,
        how: Post,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        claimed_for_s: float = CLAIMED_FOR_S,
        looks_every_s: float = LOOKS_EVERY_S,
    ) -> None:
        self._catalog, self._post = catalog, how
        self._first_pause_s, self._claimed_for_s, self._looks_every_s = first_pause_s, claimed_for_s, looks_every_s
        self._came_back: queue.SimpleQueue[tuple[Claimed, Answer]] = queue.SimpleQueue()
        self._unwritten: list[tuple[Claimed, Answer]] = []
        self._under_way: Counter[int] = Counter()
        """Attempts by webhook."""
        self._answered: set[int] = set()
        """Webhooks whose last attempt has arrived."""

    def run(self, ended: threading.Event) -> None:
        """Deliver until *ended*. What is under way then is sent once more by whoever comes next."""
        is_first = True
        while not ended.is_set():
            try:
                if is_first:
                    self.take_over()
                    is_first = False
                self.look()
            except Unavailable:
                ended.wait(self._looks_every_s)
            except Exception:  # noqa: BLE001 - Nobody would deliver any more.
                logger().exception("webhooks.broke")
                ended.wait(self._looks_every_s)
            self.wait(self._looks_every_s)

    def take_over(self) -> None:
        """Make due at once what processes of this machine were sending when they died."""
        host = socket.gethostname()
        with self._catalog.transaction() as session:
            deliveries.release_dead(session, host, alive.running(deliveries.claimants(session, host)))

    def wait(self, at_most_s: float) -> None:
        """Wait until an attempt has come back, or for so long."""
        with contextlib.suppress(queue.Empty):
            self._unwritten.append(self._came_back.get(timeout=at_most_s))

    def look(self) -> int:
        """Announce jobs that have ended, write down how attempts went, and begin those that are due. Returns how many began.

        Raises:
            Unavailable: The catalog is away; what came back is written down later.
        """
        self._announce()
        self._write_down()
        begun = [one for webhook_id in self._webhooks() for one in self._claim(webhook_id)]
        for one in begun:
            self._under_way[one.webhook_id] += 1
            threading.Thread(target=self._attempt, args=(one,), daemon=True).start()
        return len(begun)

    def _attempt(self, one: Claimed) -> None:
        self._came_back.put((one, self._post(one)))

    def _announce(self) -> None:
        with self._catalog.reading() as session:
            ended = announcing.ended(session, _ANNOUNCED_AT_ONCE)
        if ended:
            with self._catalog.transaction() as session:
                announcing.announce(session, ended)

    def _webhooks(self) -> list[int]:
        with self._catalog.reading() as session:
            return deliveries.numbers(session)

    def _claim(self, webhook_id: int) -> list[Claimed]:
        most = AT_ONCE_EACH if webhook_id in self._answered else 1
        places = min(most - self._under_way[webhook_id], AT_ONCE - self._under_way.total())
        if places <= 0:
            return []
        with self._catalog.reading() as session:
            ids = deliveries.due(session, webhook_id, places)
        if not ids:
            return []
        with self._catalog.transaction() as session:
            return deliveries.claim(session, ids, f"{socket.gethostname()}:{os.getpid()}", self._claimed_for_s)

    def _write_down(self) -> None:
        while True:
            try:
                self._unwritten.append(self._came_back.get_nowait())
            except queue.Empty:
                break
        if not self._unwritten:
            return
        with self._catalog.transaction() as session:
            for one, answer in self._unwritten:
                if answer.error is None and answer.status is not None:
                    deliveries.delivered(session, one, answer.status)
                elif self._is_last(one, answer):
                    deliveries.give_up(session, one, answer.status, answer.error or "")
                else:
                    pause_s = max(self._pause_s(one.attempts), answer.retry_after_s)
                    deliveries.postpone(session, one, answer.status, answer.error or "", pause_s)
        for one, answer in self._unwritten:
            self._note(one, answer)
        self._unwritten.clear()

    def _note(self, one: Claimed, answer: Answer) -> None:
        self._under_way[one.webhook_id] -= 1
        if not self._under_way[one.webhook_id]:
            del self._under_way[one.webhook_id]
        if answer.error is None:
            self._answered.add(one.webhook_id)
            return
        self._answered.discard(one.webhook_id)
        event = "webhook.given_up" if self._is_last(one, answer) else "webhook.failed"
        logger().warning(event, webhook=one.webhook, event_id=one.event, attempts=one.attempts, status=answer.status)

    def _is_last(self, one: Claimed, answer: Answer) -> bool:
        return one.kind == webhooks.TEST or answer.is_gone or one.age_s > TRIED_FOR_S

    def _pause_s(self, attempts: int) -> float:
        doubled: float = self._first_pause_s * 2 ** min(attempts - 1, 30)
        return min(doubled, LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)  # noqa: S311 - Spreads load, hides nothing.


def begin(catalog: Catalog, how: How) -> threading.Event:
    """Deliver in a thread of this process. Set what is returned to end it."""
    ended = threading.Event()
    deliverer = Deliverer(catalog, how.post)
    threading.Thread(target=deliverer.run, args=(ended,), name="delivering", daemon=True).start()
    return ended
