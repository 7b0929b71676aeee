"""The sealing process: merges and codes parts at nice 19, so that searches keep their cores. ``python -m index.engine.sealing``.

It reads one JSON document a line from standard input and answers with one a line. It ends when its input does, which is
when its parent is gone, however that came about.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from index.engine import merging
from index.engine.merging import Merge
from index.protocol import Reached, unwatched


@dataclass(frozen=True, slots=True)
class Code:
    """Codes to compute for a segment that has none."""

    folder: Path
    dimension: int
    name: str


Work = Merge | Code


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a piece of work ended: ``error`` is what went wrong, empty where nothing did."""

    ticket: int
    error: str


class Sealer(Protocol):
    """Who does the work. Its outcomes are asked for by the writer that gave it."""

    def begin(self, work: Work) -> int:
        """Begin, and return the ticket that the outcome will bear."""

    def outcome(self, ticket: int) -> Outcome | None:
        """The outcome of that ticket, once; None while it is under way."""


class SealingHere:
    """Does the work at once, in the caller's thread: for a library's user, and for tests that count steps."""

    def __init__(self, reached: Reached = unwatched) -> None:
        self._reached = reached
        self._outcomes: dict[int, Outcome] = {}
        self._tickets = 0

    def begin(self, work: Work) -> int:
        """See :class:`Sealer`."""
        self._tickets += 1
        self._outcomes[self._tickets] = Outcome(self._tickets, _attempt(work, self._reached))
        return self._tickets

    def outcome(self, ticket: int) -> Outcome | None:
        """See :class:`Sealer`."""
        return self._outcomes.pop(ticket, None)


class SealingProcess:
    """Has the work done by a process of its own, started when there is some, and again when it has died.

    What it was doing when it died is begun anew. Used from one thread.
    """

    def __init__(self, start: Callable[[], "subprocess.Popen[bytes]"] | None = None) -> None:
        self._start = start or _start
        self._process: subprocess.Popen[bytes] | None = None
        self._under_way: dict[int, Work] = {}
        self._answers: deque[Outcome] = deque()
        self._outcomes: dict[int, Outcome] = {}
        self._tickets = 0

    def begin(self, work: Work) -> int:
        """See :class:`Sealer`."""
        self._tickets += 1
        self._under_way[self._tickets] = work
        if self._is_running():
            self._send(self._tickets)
        else:
            self._restart()
        return self._tickets

    def outcome(self, ticket: int) -> Outcome | None:
        """See :class:`Sealer`."""
        while self._answers:
            answer = self._answers.popleft()
            if self._under_way.pop(answer.ticket, None) is not None:
                self._outcomes[answer.ticket] = answer
        if ticket in self._under_way and not self._is_running():
            self._restart()
        return self._outcomes.pop(ticket, None)

    def close(self) -> None:
        """End the process; what it was doing is undone by whoever opens the folder next."""
        self._under_way.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _restart(self) -> None:
        self._process = self._start()
        Thread(target=self._listen, args=(self._process,), daemon=True).start()
        for ticket in sorted(self._under_way):
            self._send(ticket)

    def _send(self, ticket: int) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has died: the next question for the outcome starts it again.
            self._process.stdin.write(json.dumps(_told(ticket, self._under_way[ticket])).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._answers.append(Outcome(**json.loads(line)))


def _start() -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "index.engine.sealing"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _told(ticket: int, work: Work) -> dict[str, Any]:
    if isinstance(work, Merge):
        return {"ticket": ticket, "merge": work.to_json()}
    return {"ticket": ticket, "code": {"folder": str(work.folder), "dimension": work.dimension, "name": work.name}}


def _work(message: dict[str, Any]) -> Work:
    if "merge" in message:
        return Merge.of_json(message["merge"])
    asked = message["code"]
    return Code(Path(asked["folder"]), asked["dimension"], asked["name"])


def _attempt(work: Work, reached: Reached = unwatched) -> str:
    try:
        if isinstance(work, Merge):
            merging.merge(work, reached)
        else:
            merging.code(work.folder, work.name, work.dimension)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    """Work until standard input ends."""
    os.nice(19)
    for line in sys.stdin:
        message = json.loads(line)
        outcome = {"ticket": message["ticket"], "error": _attempt(_work(message))}
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
