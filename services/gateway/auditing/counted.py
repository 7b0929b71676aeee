"""What is audited by counting: refusals of one cause within a second, and a live camera within a minute."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from services.catalog.auditing.writing import Entry, Intent

REFUSALS_S, WATCH_S = 1.0, 60.0
MOST_PEOPLE = 64
"""Named in one entry; how many there were is told besides."""
_MOST_CAUSES = 1000


@dataclass(slots=True)
class _Cause:
    """Refusals of one key with one status, after the first."""

    since_s: float
    last: Entry
    actions: "Counter[str]" = field(default_factory=Counter)

    def entry(self) -> Entry | None:
        count = self.actions.total()
        if not count:
            return None
        action = next(iter(self.actions)) if len(self.actions) == 1 else "several"
        details = {"count": count} | ({"actions": dict(self.actions)} if len(self.actions) > 1 else {})
        return replace(self.last, action=action, object=None, collection=None, details=details)


class Refusals:
    """Refusals that are being counted."""

    def __init__(self) -> None:
        self._causes: dict[tuple[str | None, int], _Cause] = {}

    def take(self, entry: Entry, now_s: float) -> tuple[list[Entry], bool]:
        """Take one in; what was counted of its cause before, and whether it is the first now and to be written itself."""
        cause = entry.key, entry.outcome
        known = self._causes.get(cause)
        if known is not None and now_s - known.since_s < REFUSALS_S:
            known.actions[entry.action] += 1
            known.last = entry
            return [], False
        if known is None and len(self._causes) >= _MOST_CAUSES:
            self._causes.pop(next(iter(self._causes)))
        self._causes[cause] = _Cause(now_s, entry)
        counted = None if known is None else known.entry()
        return [counted] if counted is not None else [], True

    def due(self) -> Iterator[float]:
        """When something is to be written."""
        return (cause.since_s + REFUSALS_S for cause in list(self._causes.values()))

    def close(self, now_s: float, *, everything: bool = False) -> list[Entry]:
        """What was counted for a second, or all."""
        over = [of for of, cause in self._causes.items() if everything or now_s - cause.since_s >= REFUSALS_S]
        counted = [self._causes.pop(of).entry() for of in over]
        return [entry for entry in counted if entry is not None]

    def close_all(self) -> list[Entry]:
        """All that was counted."""
        return self.close(0.0, everything=True)


@dataclass(frozen=True, slots=True)
class Sight:
    """One thing that a live camera's program did."""

    searches: int = 0
    faces: int = 0
    matches: int = 0
    """Of which webhooks were to be told."""
    refused: int = 0
    people: Sequence[str] = ()
    """Who were named."""


@dataclass(slots=True)
class _Watch:
    """A minute of a live camera."""

    intent: Intent
    since_s: float
    counts: "Counter[str]" = field(default_factory=Counter)
    people: dict[str, int] = field(default_factory=dict)
    at: float = 0.0

    def add(self, sight: Sight) -> None:
        self.counts += Counter(searches=sight.searches, faces=sight.faces, matches=sight.matches, refused=sight.refused)
        for person in sight.people:
            if person in self.people or len(self.people) < MOST_PEOPLE:
                self.people[person] = self.people.get(person, 0) + 1
            else:
                self.counts["people_left_out"] += 1

    def entry(self) -> Entry:
        details = {**self.counts, "named": sorted(self.people), "from": self.intent.at}
        return Entry(self.at, self.intent.key, self.intent.action, self.intent.collection, details=details)


class Watches:
    """Live cameras that are being counted, by key and collection."""

    def __init__(self) -> None:
        self._watches: dict[tuple[str | None, str | None, str], _Watch] = {}

    def add(self, intent: Intent, sight: Sight, now_s: float) -> bool:
        """Count *sight*; whether *intent* is new, for the minute that begins with it."""
        of = intent.key, intent.collection, intent.action
        is_new = of not in self._watches
        watch = self._watches.setdefault(of, _Watch(intent, now_s))
        watch.add(sight)
        watch.at = intent.at
        return is_new

    def has(self, key: str | None, collection: str | None, action: str) -> bool:
        """Whether such a camera is being counted."""
        return (key, collection, action) in self._watches

    def due(self) -> Iterator[float]:
        """When something is to be written."""
        return (watch.since_s + WATCH_S for watch in list(self._watches.values()))

    def close(self, now_s: float, *, everything: bool = False) -> list[tuple[Entry, str]]:
        """The entries of those that were counted for a minute, or of all; each with the intent that it settles."""
        over = [of for of, watch in self._watches.items() if everything or now_s - watch.since_s >= WATCH_S]
        closed = [self._watches.pop(of) for of in over]
        return [(watch.entry(), watch.intent.id) for watch in closed]
