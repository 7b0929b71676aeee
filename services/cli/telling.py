"""Telling: where the matches of a camera go. Whoever is slow or away holds nobody up."""

import json
import queue
import sys
import threading
import time
from typing import Protocol

from services.cli import terminal
from services.cli.client import Client
from services.cli.service import ServiceError, Unreachable
from services.cli.watching import InView, Told

_MOST_WAITING = 1000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
ENDS_WITHIN_S = 5.0
"""How long what is not told yet is waited for at the end."""


class Teller(Protocol):
    """Somebody who is told. Neither method waits for anything outside, nor raises."""

    def told(self, event: Told) -> None:
        """Somebody has come into view."""

    def in_view(self, now: InView) -> None:
        """Who is in view has changed."""

    def close(self, within_s: float) -> None:
        """Tell what waits, in so much time, and end."""


class Lines:
    """A line of JSON for each event, on standard output."""

    def told(self, event: Told) -> None:
        """Write it at once."""
        sys.stdout.write(json.dumps(event.document(), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def in_view(self, now: InView) -> None:
        """Nothing: lines are events."""

    def close(self, within_s: float) -> None:
        """Nothing waits."""


class Table:
    """A line for people for each event, on standard output."""

    def told(self, event: Told) -> None:
        """When, who, how alike."""
        moment = time.strftime("%H:%M:%S")
        if event.position_s is not None:
            minutes, seconds = divmod(event.position_s, 60)
            moment = f"{minutes:.0f}:{seconds:04.1f}"
        name = "unknown" if event.person is None else event.person["name"]
        similarity = "" if event.similarity is None else f"{event.similarity:.3f}"
        terminal.say(f"{moment:>8}  {similarity:>6}  {name}")

    def in_view(self, now: InView) -> None:
        """Nothing: who stays is not repeated."""

    def close(self, within_s: float) -> None:
        """Nothing waits."""


class Webhooks:
    """The service, which tells its webhooks: ``POST /v1/live/matches``."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: queue.Queue[Told | None] = queue.Queue(_MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def told(self, event: Told) -> None:
        """Note it; with too many waiting the oldest is given up."""
        if event.person is None:
            return
        while True:
            try:
                self._waiting.put_nowait(event)
            except queue.Full:
                self._waiting.get_nowait()
                terminal.complain(f"More than {_MOST_WAITING} matches wait for the service: the oldest is given up.")
            else:
                return

    def in_view(self, now: InView) -> None:
        """Nothing: webhooks are told of matches."""

    def close(self, within_s: float) -> None:
        """Wait for what is under way."""
        self._closing.set()
        self._waiting.put(None)
        self._thread.join(within_s)
        if left := self._waiting.qsize():
            terminal.complain(f"{left} match(es) could not be told to the service.")

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            self._send(event)

    def _send(self, event: Told) -> None:
        assert event.person is not None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._client.live.match(
                    event.camera[:64],
                    event.person["id"],
                    event.similarity or 0.0,
                    threshold=event.threshold,
                    seen_at=event.time,
                    track=str(event.track),
                )
            except (Unreachable, ServiceError) as error:
                if isinstance(error, ServiceError) and error.status < 500:
                    terminal.complain(f"A match was not taken: {error}")
                    return
                if self._closing.wait(pause_s):
                    return
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                return
