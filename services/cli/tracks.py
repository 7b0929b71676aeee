"""Tracks: which face of an answer is which of those before it, and who it is, decided over several answers.

The rules and figures are those of the page Live (``static/js/live/tracks.js`` and ``deciding.js``), but that a decision looks
back on fewer seconds; docs/live.md says why. Standard library only.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

REMEMBERED, REMEMBERED_S = 6, 4.0
"""Answers that a decision looks back on."""
FOR_A_NAME = 3
"""Answers that accept the same person, and more than half of those remembered."""
FOR_UNKNOWN, MOST = 4, 0.7
"""Answers that accept nobody, and this share of those remembered."""
GONE_S = 1.8
"""Without being found a track ends."""

_GATE, _GATE_A_S, _GATE_KNOWN = 1.0, 1.0, 2.5
_AGREES, _GROWTH = 1.0, 0.7
_PACE, _PACE_S = 0.35, 0.033
_COASTS_S = 0.25
_NEVER = 1e6

State = Literal["unsure", "unknown", "named"]


@dataclass(frozen=True, slots=True)
class Box:
    """A box in pixels of the camera's frame."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest person to a face in one answer."""

    id: str
    name: str
    external_id: str | None
    similarity: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A face in one answer."""

    box: Box
    nearest: Nearest | None


class Deciding:
    """Who a tracked face is: unsure at first, then a person or unknown. A name stays until several answers speak against it."""

    def __init__(self) -> None:
        self.state: State = "unsure"
        self.person: Nearest | None = None
        self._heard: deque[tuple[float, Nearest | None]] = deque()

    def hear(self, at_s: float, nearest: Nearest | None) -> None:
        """What the answer about the frame of *at_s* says."""
        self._heard.append((at_s, nearest))
        while len(self._heard) > REMEMBERED or at_s - self._heard[0][0] > REMEMBERED_S:
            self._heard.popleft()

    def decide(self, threshold: float) -> None:
        """Decide by *threshold*: the similarity from which a person is accepted."""
        accepted = Counter(best.id for _, best in self._heard if best is not None and best.similarity >= threshold)
        nobody = len(self._heard) - accepted.total()
        who, count = accepted.most_common(1)[0] if accepted else ("", 0)
        if count >= FOR_A_NAME and count > len(self._heard) / 2:
            self.state, self.person = "named", self._newest(who)
        elif nobody >= FOR_UNKNOWN and nobody >= MOST * len(self._heard):
            self.state, self.person = "unknown", None
        elif self.state == "named" and self.person is not None:
            self.person = self._newest(self.person.id) or self.person

    def support(self) -> float:
        """Mean similarity of the answers that had the decided person nearest; -1 without one."""
        mine = [best.similarity for _, best in self._heard if best and self.person and best.id == self.person.id]
        return sum(mine) / len(mine) if mine else -1.0

    def doubt(self) -> None:
        """Begin again: somebody else bears that name."""
        self._heard.clear()
        self.state, self.person = "unsure", None

    def _newest(self, who: str) -> Nearest | None:
        return next((best for _, best in reversed(self._heard) if best is not None and best.id == who), None)


@dataclass(slots=True)
class Track:
    """A face that is followed from one answer to the next."""

    number: int
    box: Box
    found_s: float
    """When the frame was taken in which it was found last."""
    velocity: tuple[float, float] = (0.0, 0.0)
    """Pixels a second."""
    deciding: Deciding = field(default_factory=Deciding)
    told: bool = False
    """That it is unknown."""

    def expected(self, at_s: float) -> tuple[float, float]:
        """Where its centre is at *at_s*, by the pace that it had; without being seen it comes to rest."""
        dt = max(at_s - self.found_s, 0.0)
        coasting = math.exp(-max(dt - _COASTS_S, 0.0) / _COASTS_S)
        (x, y), (vx, vy) = _centre(self.box), self.velocity
        return x + vx * dt * coasting, y + vy * dt * coasting

    def anchor(self, at_s: float, box: Box) -> None:
        """It was found at *box* in the frame of *at_s*."""
        elapsed = at_s - self.found_s
        if elapsed > 0:
            share = 1 - (1 - _PACE) ** (elapsed / _PACE_S)
            (x, y), (was_x, was_y) = _centre(box), _centre(self.box)
            vx, vy = self.velocity
            self.velocity = (
                vx + share * ((x - was_x) / elapsed - vx),
                vy + share * ((y - was_y) / elapsed - vy),
            )
        self.box, self.found_s = box, at_s


class Tracks:
    """The faces in view. An answer is dealt out to where the tracks were when its frame was taken."""

    def __init__(self) -> None:
        self.all: list[Track] = []
        self._numbers = 0
        self._applied_s = -math.inf

    def answer(self, at_s: float, faces: Sequence[Seen], threshold: float) -> bool:
        """The faces in the frame of *at_s*. False, and nothing is changed, where a later frame was answered already."""
        if at_s <= self._applied_s:
            return False
        self._applied_s = at_s
        self.all = [track for track in self.all if at_s - track.found_s < GONE_S]
        costs = [[_cost(at_s, face, track, threshold) for track in self.all] for face in faces]
        dealt = assign(costs, len(self.all))
        known = list(self.all)
        for face, place in zip(faces, dealt, strict=True):
            if place is None:
                self._numbers += 1
                track = Track(self._numbers, face.box, at_s)
                self.all.append(track)
            else:
                track = known[place]
                track.anchor(at_s, face.box)
            track.deciding.hear(at_s, face.nearest)
        self._decide(threshold)
        return True

    def _decide(self, threshold: float) -> None:
        """One person is one track: whoever was found last, and of two in one answer who is more like them."""
        for track in self.all:
            track.deciding.decide(threshold)
        bearers: dict[str, Track] = {}
        for track in sorted(self.all, key=lambda one: (-one.found_s, -one.deciding.support())):
            person = track.deciding.person
            if person is None:
                continue
            bearer = bearers.setdefault(person.id, track)
            if bearer is not track and track.found_s < bearer.found_s:
                self.all.remove(track)
            elif bearer is not track:
                track.deciding.doubt()


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.w / 2, box.y + box.h / 2


def _cost(at_s: float, face: Seen, track: Track, threshold: float) -> float:
    """What it costs that *face* is *track*, in sides of a face; at least _NEVER where it cannot be."""
    box, was = face.box, track.box
    side = math.sqrt((box.w + was.w) * (box.h + was.h)) / 2
    away = math.dist(_centre(box), track.expected(at_s)) / side
    growth = abs(math.log((box.w * box.h) / (was.w * was.h))) / 2
    best = face.nearest.id if face.nearest is not None and face.nearest.similarity >= threshold else None
    person = track.deciding.person
    agrees = 0 if best is None or person is None else 1 if person.id == best else -1
    gate = (_GATE_KNOWN if agrees > 0 else _GATE) + _GATE_A_S * max(0.0, at_s - track.found_s)
    if away > gate or growth > _GROWTH * (2 if agrees > 0 else 1):
        return _NEVER
    return away + growth - _AGREES * agrees


def assign(costs: Sequence[Sequence[float]], width: int) -> list[int | None]:
    """For each row a column of its own, so that the sum is least; None where none was possible.

    The Hungarian method (H. W. Kuhn, 1955) by shortest augmenting paths.

    Args:
        costs: Rows of *width* costs; _NEVER and above cannot be.
        width: How many columns there are.
    """
    rows, columns = len(costs), max(len(costs), width)

    def price(row: int, column: int) -> float:
        return (
            min(costs[row - 1][column - 1], _NEVER) if column <= width else _NEVER
        )  # Columns beyond stand for "none".

    u, v = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner = [0] * (columns + 1)  # Rows and columns are counted from 1; 0 is nobody.
    for row in range(1, rows + 1):
        _augment(row, price, u, v, owner)
    found: list[int | None] = [None] * rows
    for column in range(1, width + 1):
        if owner[column] and price(owner[column], column) < _NEVER:
            found[owner[column] - 1] = column - 1
    return found


def _augment(row: int, price: Callable[[int, int], float], u: list[float], v: list[float], owner: list[int]) -> None:
    """Give *row* a column; whoever had it gets another, along the path that costs least."""
    columns = range(len(owner))
    way, least, used = [0] * len(owner), [math.inf] * len(owner), [False] * len(owner)
    owner[0], column = row, 0
    while owner[column]:
        used[column] = True
        free = [j for j in columns if not used[j]]
        for j in free:
            reduced = price(owner[column], j) - u[owner[column]] - v[j]
            if reduced < least[j]:
                least[j], way[j] = reduced, column
        following = min(free, key=least.__getitem__)
        delta = least[following]
        for j in columns:
            if used[j]:
                u[owner[j]] += delta
                v[j] -= delta
            else:
                least[j] -= delta
        column = following
    while column:
        owner[column] = owner[way[column]]
        column = way[column]
