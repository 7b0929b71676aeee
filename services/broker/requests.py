"""Asking with a deadline: the three hops of a search, over lists in the broker.

    gateway ──photo, task──▶ interactive worker ──vectors──▶ searcher ──hits──▶ the caller's list

The photo's bytes lie under a random key for at most a minute and are taken out with the reading (GETDEL). A hop that
is past its deadline is dropped unread. About 0.5 ms a hop through lists, 2 ms through the Celery task.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, cast

from celery import Celery

from services import trail
from services.broker import joins, names, replies
from services.broker.app import celery_app
from services.broker.followed import headers
from services.broker.joins import Join
from services.broker.replies import connect, speaking
from services.broker.shadows import Shadow
from services.broker.waking import COUNTS_S, SEARCHERS, News
from services.errors import ColegaError, WorkersBusy
from services.logs import logger
from services.trail import Trail

_PHOTO_LIVES_S = 60
_SEARCHES = "colega:searches"

Answer = dict[str, Any]
"""What comes back, as JSON:

``model`` digest, ``variant``, ``photos``: a list of ``{width, height, format, faces}``, with ``preview`` (base64 of a JPEG)
where one was asked for; a face is ``{box: [x, y, w, h],
landmarks: five [x, y], score, quality: {value, …}, vector}``, its vector base64 of float32 and absent where only
detection was asked; ``took_ms``: ``{decode, detect, embed, search}``. After the searcher also ``sequence`` and
``hits``: for each face of the first photo, or each vector, a list of ``{person, similarity, face, face_similarity}``, with
``probability`` where a head was given.
"""


@dataclass(frozen=True, slots=True)
class Search:
    """What the searcher is asked beside the vectors."""

    collection: int
    generation: int
    k: int = 5
    after: int | None = None
    """The sequence number that the answer must reflect."""
    person: int | None = None
    """Score against this person only."""
    where: dict[str, str] | None = None
    """Look only among people whose attributes have these values."""
    head: dict[str, Any] | None = None
    """Say of every hit how likely it is the same person, by this head (:func:`services.heads.for_searcher`)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question under way."""

    id: str
    deadline: float
    """Seconds since 1970; the machines' clocks need to agree to a second."""
    photos: tuple[str, ...]
    """Keys in the broker."""
    mode: str
    detector: str | None
    """Digest of the detector's file; None is the built-in MTCNN."""
    model: str | None
    """Digest of the embedder; None asks for detection only."""
    search: Search | None
    shadow: Shadow | None = None
    """Under which other model the query is to be kept, once it is passed on."""
    preview_px: int | None = None
    """Longest side of the photos' previews, where they are asked for."""

    @classmethod
    def of_json(cls, message: Mapping[str, Any]) -> "Ask":
        """Read what :func:`dataclasses.asdict` wrote."""
        search, shadow = message["search"], message.get("shadow")
        fields = {
            "photos": tuple(message["photos"]),
            "search": None if search is None else Search(**search),
            "shadow": None if shadow is None else Shadow(**shadow),
        }
        return cls(**{**message, **fields})

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; negative after it."""
        return self.deadline - time.time()


@dataclass(frozen=True, slots=True)
class Query:
    """What the searcher finds in its list."""

    ask: Ask
    answer: Answer
    trail: Trail = field(default_factory=dict)
    """Of who asks."""


class Asking:
    """The gateway's side. Safe to share between threads."""

    def __init__(self, broker_url: str, app: Celery | None = None) -> None:
        self._redis = connect(broker_url)
        self._app = app or celery_app(broker_url)

    def look(
        self,
        photos: Sequence[bytes],
        *,
        mode: str,
        detector: str | None,
        model: str | None,
        search: Search | None,
        timeout_s: float,
        shadow: Shadow | None = None,
        preview_px: int | None = None,
    ) -> Answer:
        """Have faces found in *photos*, embedded where *model* is named, and looked for where *search* is given.

        With *preview_px* the photos come back as small JPEGs, too, for who cannot show what was sent.

        Raises:
            BrokerUnavailable: The broker does not answer.
            WorkersBusy: Nobody answered before the deadline.
            PhotoRefused: A photo cannot be used.
            IndexBehind: The index did not reach ``search.after`` in time.
        """
        ask_id = secrets.token_hex(16)
        keys = tuple(f"colega:photo:{ask_id}:{n}" for n in range(len(photos)))
        ask = Ask(ask_id, time.time() + timeout_s, keys, mode, detector, model, search, shadow, preview_px)
        with speaking():
            pipeline = self._redis.pipeline(transaction=False)
            for key, photo in zip(keys, photos, strict=True):
                pipeline.set(key, photo, ex=_PHOTO_LIVES_S)
            pipeline.execute()
            try:
                # Without a representation of its arguments for logs, which takes longer to make than the message.
                self._app.send_task(
                    names.LOOK,
                    args=[asdict(ask)],
                    expires=timeout_s,
                    retry=False,
                    argsrepr="",
                    kwargsrepr="",
                    headers=headers(),
                )
                return self._wait(ask)
            except BaseException:
                self._redis.delete(*keys)  # An answer says that a worker has taken them out.
                raise

    def search(self, vectors: Sequence[str], search: Search, *, model: str, timeout_s: float) -> Answer:
        """Look for vectors (base64 of float32) that are known already; no worker is asked.

        Raises:
            BrokerUnavailable, WorkersBusy, IndexBehind: As :meth:`look`.
        """
        ask = Ask(secrets.token_hex(16), time.time() + timeout_s, (), "balanced", None, model, search)
        faces = [{"vector": vector} for vector in vectors]
        answer: Answer = {"model": model, "variant": None, "photos": [{"faces": faces}], "took_ms": {}}
        with speaking():
            self._redis.rpush(_SEARCHES, _message(ask, answer))
            return self._wait(ask)

    def join(self, join: Join, *, timeout_s: float) -> Answer:
        """Ask which faces or people look alike: see :func:`services.broker.joins.ask`."""
        return joins.ask(self._redis, join, timeout_s=timeout_s)

    def _wait(self, ask: Ask) -> Answer:
        answer = replies.wait(self._redis, ask.id, within_s=ask.left_s)
        if answer is None:
            raise WorkersBusy("No worker answered in time. Try again in a moment, or start more interactive workers.")
        return answer


class Answering:
    """The interactive worker's side."""

    def __init__(self, broker_url: str) -> None:
        self._redis = connect(broker_url)

    def take(self, ask: Ask) -> list[bytes] | None:
        """The photos' bytes, gone from the broker with this. None: the deadline passed or they are gone; drop it."""
        if ask.left_s <= 0:
            return None
        with speaking():
            pipeline = self._redis.pipeline(transaction=False)
            for key in ask.photos:
                pipeline.getdel(key)
            photos: list[bytes | None] = pipeline.execute()
        return None if any(photo is None for photo in photos) else [p for p in photos if p is not None]

    def answer(self, ask: Ask, answer: Answer) -> None:
        """Answer the caller."""
        replies.send(self._redis, ask.id, answer)

    def pass_on(self, ask: Ask, answer: Answer) -> None:
        """Hand faces and vectors on to a searcher, who answers."""
        with speaking():
            self._redis.rpush(_SEARCHES, _message(ask, answer))

    def fail(self, ask: Ask, error: ColegaError) -> None:
        """Tell the caller what went wrong."""
        replies.send(self._redis, ask.id, error)


class Arrived(NamedTuple):
    """What a searcher finds when it looks."""

    queries: list[Query]
    woken: bool
    """Whether a log has grown, or nothing else came: look at the logs."""
    news: list[News]
    """What those told who have woken us."""


class Searching:
    """The searcher's side. One thread."""

    def __init__(self, broker_url: str) -> None:
        self._redis = connect(broker_url)
        self._wakes = f"colega:wake:{secrets.token_hex(8)}"

    def register(self) -> None:
        """Ask to be woken when a log grows; again at least once a minute."""
        with speaking():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.zadd(SEARCHERS, {self._wakes: time.time()})
            pipeline.zremrangebyscore(SEARCHERS, "-inf", time.time() - COUNTS_S)
            pipeline.execute()

    def arrived(self, *, block_s: float, most: int, gather_s: float = 0.0) -> Arrived:
        """What has arrived, at most *most* queries; waits *block_s* for the first query or wake-up.

        After a query it waits *gather_s* for more, unless there are *most*. Queries past their deadline are dropped.
        """
        with speaking():
            first: tuple[bytes, bytes] | None = self._redis.blpop([self._wakes, _SEARCHES], timeout=block_s)  # type: ignore[assignment]
            found = [first[1]] if first is not None and first[0] == _SEARCHES.encode() else []
            told = [] if first is None or found else [first[1]]
            woken = not found
            if first is not None:
                found += self._waiting(most - len(found))
                told += self._told()
                woken = bool(told) or woken
            if gather_s and 0 < len(found) < most:
                time.sleep(gather_s)
                found += self._waiting(most - len(found))
        queries = [query for query in map(_query, found) if query is not None and query.ask.left_s > 0]
        return Arrived(queries, woken, [News.of_message(each) for each in told])

    def answer(self, ask: Ask, answer: Answer) -> None:
        """Answer the caller."""
        replies.send(self._redis, ask.id, answer)

    def fail(self, ask: Ask, error: ColegaError) -> None:
        """Tell the caller what went wrong."""
        replies.send(self._redis, ask.id, error)

    def _told(self) -> list[bytes]:
        """What has been told by those who wake, taken out."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.lrange(self._wakes, 0, -1)
        pipeline.delete(self._wakes)
        told, _ = pipeline.execute()
        return cast("list[bytes]", told)

    def _waiting(self, most: int) -> list[bytes]:
        """What lies in the list, taken out."""
        found = self._redis.lpop(_SEARCHES, most) if most else None
        return cast("list[bytes]", found) if isinstance(found, list) else []


def _message(ask: Ask, answer: Answer) -> str:
    """What a searcher finds in its list."""
    return json.dumps({"ask": asdict(ask), "answer": answer, "trail": trail.carried()})


def _query(message: bytes) -> Query | None:
    """What lay in the list; None of a message that another version of colega wrote: its caller gets no answer in time."""
    try:
        read = json.loads(message)
        return Query(Ask.of_json(read["ask"]), read["answer"], trail.of_message(read.get("trail")))
    except (KeyError, TypeError, ValueError):
        logger().warning("search.not_understood")
        return None
