"""The ledger of a check: what was found, what of it was mended, and which parts are done; kept, so that a check goes on.

A check that is begun again redoes the part it was in. What that part had mended stays in the ledger; what it had only found
is found again.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

NAMED_AT_MOST = 100
"""Of each kind of problem."""


class State(Enum):
    """What became of a problem."""

    MENDED = "mended"
    LEFT = "left"
    GONE = "gone"
    """It is none any more: somebody deleted or changed the face meanwhile."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How mending ended."""

    state: State
    why: str = ""
    """Of what is left: why it could not be mended, and what to do."""


_REMEMBERED = 100_000

MENDED, GONE = Outcome(State.MENDED), Outcome(State.GONE)


class Ledger:
    """Problems by part and kind, in a file of their own where a folder is given."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.done: list[str] = []
        """The parts that were looked at wholly."""
        self.looked_at: Counter[str] = Counter()
        self.figures: dict[str, Any] = {}
        """What was measured, to be told with the result."""
        self._counted: Counter[str] = Counter()
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}
        self._left: set[int] = set()
        self._part = ""
        if file.is_file():
            held = json.loads(file.read_text("utf-8"))
            self.done, self._kinds, self.figures = held["done"], held["kinds"], held["figures"]
            self._counted = Counter(held["looked_at"])

    def begin(self, part: str) -> None:
        """Look at *part* from its beginning; what was mended of it before stays noted."""
        self._part, self.looked_at = part, Counter(self._counted)
        kinds = self._kinds.setdefault(part, {})
        for kind, held in list(kinds.items()):
            held["found"], held["named"] = held["mended"], [name for name in held["named"] if name["mended"]]
            if not held["mended"]:
                del kinds[kind]
        self._left = {
            _identity(kind, name)
            for kinds in self._kinds.values()
            for kind, held in kinds.items()
            for name in held["named"]
            if not name["mended"]
        }

    def end(self) -> None:
        """The part is done."""
        self.done.append(self._part)
        self._counted = Counter(self.looked_at)
        self._save()

    def note(self, kind: str, outcome: Outcome, **names: object) -> None:
        """A problem of *kind* (:data:`services.catalog.checks.PROBLEMS`), by public ids and object keys, and its outcome.

        One that an earlier part has noted and left is not counted twice.
        """
        if outcome.state is State.GONE or (identity := _identity(kind, names)) in self._left:
            return
        if outcome.state is State.LEFT and len(self._left) < _REMEMBERED:
            self._left.add(identity)
        held = self._kinds[self._part].setdefault(kind, {"found": 0, "mended": 0, "named": []})
        held["found"] += 1
        held["mended"] += outcome.state is State.MENDED
        if len(held["named"]) < NAMED_AT_MOST:
            why = {"why": outcome.why} if outcome.why else {}
            held["named"].append({**names, **why, "mended": outcome.state is State.MENDED})
        if outcome.state is State.MENDED:
            self._save()

    def told(self) -> dict[str, Any]:
        """The result: counts by kind, up to a hundred named of each."""
        found: Counter[str] = Counter()
        mended: Counter[str] = Counter()
        named: dict[str, list[Mapping[str, Any]]] = {}
        for kinds in self._kinds.values():
            for kind, held in kinds.items():
                found[kind] += held["found"]
                mended[kind] += held["mended"]
                named[kind] = [*named.get(kind, []), *held["named"]][:NAMED_AT_MOST]
        return {
            "ok": not found,
            "parts": list(self.done),
            "looked_at": dict(self.looked_at),
            **self.figures,
            "problems": dict(found),
            "mended": dict(+mended),
            "remaining": dict(found - mended),
            "named": named,
        }

    def _save(self) -> None:
        held = {
            "done": self.done,
            "kinds": self._kinds,
            "looked_at": dict(self._counted),
            "figures": self.figures,
        }
        partial = self._file.with_suffix(".partial")
        partial.write_text(json.dumps(held), "utf-8")
        os.replace(partial, self._file)  # noqa: PTH105 - as one step


def _identity(kind: str, names: Mapping[str, Any]) -> int:
    """What is wrong with what."""
    return hash((kind, names.get("object") or (names.get("face"), names.get("model"))))
