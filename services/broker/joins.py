"""Asking which faces, or which people, of a collection look alike: a list of its own, so that no search waits behind it."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from redis import Redis

from services import trail
from services.broker import replies
from services.broker.replies import Told
from services.errors import ColegaError, WorkersBusy
from services.trail import Trail, of_message

_JOINS = "colega:joins"

What = Literal["faces", "people", "doubts"]


@dataclass(frozen=True, slots=True)
class Join:
    """A page of what looks alike."""

    what: What
    """Faces of nobody, in groups; people, in pairs; or faces that are perhaps not of whom they are."""
    collection: int
    generation: int
    threshold: float
    """The least similarity, in (0, 1]; of a face with its person's other ones."""
    limit: int
    """Groups, pairs or faces of a page."""
    least: int = 2
    """Faces: a smaller group is left out."""
    shown: int = 100
    """Faces of a group that are named, the most typical first."""
    after: int | None = None
    """The sequence number that the answer must reflect."""
    place: tuple[float, ...] | None = None
    """``next`` of the page before."""
    person: int | None = None
    """Doubts: only about this one's faces."""


@dataclass(frozen=True, slots=True)
class JoinAsk:
    """One such question under way.

    Its answer: ``sequence``; ``total``, of all pages; ``next``: a place or null; and ``groups``: ``{faces, size, similarity,
    people}``, the nearest people first, each ``[person, similarity]``; or ``pairs``: ``[person, person, similarity]``; or
    ``doubts``: ``[face, person, similarity to their other faces, other person or null, similarity to them]``.
    """

    id: str
    deadline: float
    """Seconds since 1970; the machines' clocks need to agree to a second."""
    join: Join
    trail: Trail = field(default_factory=dict)
    """Of who asks."""

    @classmethod
    def of_json(cls, message: Mapping[str, Any]) -> "JoinAsk":
        """Read what :func:`dataclasses.asdict` wrote."""
        place = message["join"]["place"]
        join = Join(**{**message["join"], "place": None if place is None else tuple(place)})
        return cls(message["id"], message["deadline"], join, of_message(message.get("trail")))

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.time()


def ask(redis: Redis, join: Join, *, timeout_s: float) -> Told:
    """Ask, and wait for the answer.

    Raises:
        BrokerUnavailable: The broker does not answer.
        WorkersBusy: No searcher took the question before the deadline.
        IndexBehind: It is still being worked out, or the index did not reach ``join.after`` in time.
        Refused: Too much is as alike as that.
    """
    asked = JoinAsk(secrets.token_hex(16), time.time() + timeout_s, join)
    with replies.speaking():
        redis.rpush(_JOINS, json.dumps({**asdict(asked), "trail": trail.carried()}))
    answer = replies.wait(redis, asked.id, within_s=asked.left_s)
    if answer is None:
        raise WorkersBusy("No searcher answered in time. Try again in a moment.")
    return answer


class JoinDesk:
    """The searcher's side. One thread."""

    def __init__(self, broker_url: str) -> None:
        self._redis = replies.connect(broker_url)

    def asks(self, *, block_s: float, most: int = 16) -> list[JoinAsk]:
        """What has arrived, at most *most*; waits *block_s* for the first. Questions past their deadline are dropped.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        with replies.speaking():
            first: tuple[bytes, bytes] | None = self._redis.blpop([_JOINS], timeout=block_s)  # type: ignore[assignment]
            if first is None:
                return []
            more = self._redis.lpop(_JOINS, most - 1)
        found = [first[1], *(cast("list[bytes]", more) if isinstance(more, list) else [])]
        asks = [JoinAsk.of_json(json.loads(message)) for message in found]
        return [each for each in asks if each.left_s > 0]

    def answer(self, asked: JoinAsk, answer: Told | ColegaError) -> None:
        """Answer the caller, or tell them what went wrong.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        replies.send(self._redis, asked.id, answer)
