"""Asking with a deadline: three hops over lists, and nothing left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from redis import Redis

from services import trail
from services.broker import names
from services.broker.app import celery_app
from services.broker.requests import Answering, Ask, Asking, Search, Searching
from services.broker.send import Queue
from services.broker.waking import News, Waking
from services.errors import BrokerUnavailable, IndexBehind, PhotoRefused, WorkersBusy
from services.rejections import Rejection

SEARCH = Search(collection=1, generation=1)


@contextmanager
def _worker(valkey: str, answer: Callable[[Answering, Ask, list[bytes] | None], None]) -> Iterator[list[Ask]]:
    """An interactive worker that takes one message from Celery's queue as kombu lays it there, and answers by hand."""
    asks: list[Ask] = []

    def run() -> None:
        app = celery_app(valkey)
        answering = Answering(valkey)
        with app.connection_for_read() as connection, connection.SimpleQueue(names.INTERACTIVE) as queue:
            message = queue.get(block=True, timeout=10)
            message.ack()
            asks.append(Ask.of_json(message.payload[0][0]))
            answer(answering, asks[0], answering.take(asks[0]))

    thread = threading.Thread(target=run)
    thread.start()
    yield asks
    thread.join()


def _look(valkey: str, timeout_s: float = 10.0, search: Search | None = None) -> dict[str, object]:
    return Asking(valkey).look(
        [b"photo"], mode="balanced", detector=None, model="m", search=search, timeout_s=timeout_s
    )


def test_a_question_comes_back_with_its_answer(valkey: str) -> None:
    def answer(answering: Answering, ask: Ask, photos: list[bytes] | None) -> None:
        assert photos == [b"photo"]
        answering.answer(ask, {"model": "m", "photos": []})

    with _worker(valkey, answer):
        assert _look(valkey) == {"model": "m", "photos": []}


def test_a_photo_is_gone_from_the_broker_with_its_reading(valkey: str) -> None:
    def answer(answering: Answering, ask: Ask, photos: list[bytes] | None) -> None:
        assert photos is not None
        assert answering.take(ask) is None
        answering.answer(ask, {})

    with _worker(valkey, answer) as asks:
        _look(valkey)

    assert not Redis.from_url(valkey).exists(*asks[0].photos)


def test_a_photo_that_nobody_took_is_gone_with_its_deadline(valkey: str) -> None:
    with pytest.raises(WorkersBusy):
        _look(valkey, timeout_s=0.2)

    assert not list(Redis.from_url(valkey).scan_iter("colega:photo:*"))


@pytest.mark.parametrize(
    "error",
    [PhotoRefused(Rejection.TRUNCATED, "It is cut short."), IndexBehind("Not there yet."), WorkersBusy("Died.")],
)
def test_an_error_comes_back_as_it_was(valkey: str, error: PhotoRefused | IndexBehind | WorkersBusy) -> None:
    with (
        _worker(valkey, lambda answering, ask, _: answering.fail(ask, error)),
        pytest.raises(type(error), match=str(error)) as caught,
    ):
        _look(valkey)

    assert caught.value.type == error.type


def test_a_worker_past_the_deadline_reads_nothing(valkey: str) -> None:
    late = Ask("x", time.time() - 1, ("colega:photo:x:0",), "balanced", None, "m", None)

    assert Answering(valkey).take(late) is None


def test_vectors_pass_on_to_the_searcher_who_answers(valkey: str) -> None:
    with _worker(valkey, lambda answering, ask, _: answering.pass_on(ask, {"photos": [{"faces": []}]})):
        searching = Searching(valkey)
        answers: list[dict[str, object]] = []
        client = threading.Thread(target=lambda: answers.append(_look(valkey, search=SEARCH)))
        client.start()
        [query] = searching.arrived(block_s=10, most=8).queries
        searching.answer(query.ask, {**query.answer, "hits": []})
        client.join()

    assert query.ask.search == SEARCH
    assert answers == [{"photos": [{"faces": []}], "hits": []}]


def test_queries_that_arrived_together_are_drained_together(valkey: str) -> None:
    answering, searching = Answering(valkey), Searching(valkey)
    fresh = Ask("x", time.time() + 60, (), "balanced", None, "m", SEARCH)
    for n in range(5):
        answering.pass_on(replace(fresh, id=str(n)), {})
    answering.pass_on(replace(fresh, id="late", deadline=time.time() - 1), {})

    first, second = searching.arrived(block_s=1, most=4).queries, searching.arrived(block_s=1, most=4).queries

    assert [[q.ask.id for q in first], [q.ask.id for q in second]] == [["0", "1", "2", "3"], ["4"]]


@pytest.mark.parametrize(("gather_s", "together"), [(0.0, 1), (0.25, 2)])  # Long: a busy machine is late.
def test_queries_a_millisecond_apart_come_as_one_batch_where_they_are_gathered(
    valkey: str, gather_s: float, together: int
) -> None:
    answering, searching = Answering(valkey), Searching(valkey)
    fresh = Ask("first", time.time() + 60, (), "balanced", None, "m", SEARCH)
    answering.pass_on(fresh, {})
    second = threading.Timer(0.001 if gather_s else 0.25, answering.pass_on, (replace(fresh, id="second"), {}))
    second.start()

    batches = [searching.arrived(block_s=5, most=8, gather_s=gather_s).queries for _ in range(3 - together)]
    second.join()

    assert [[query.ask.id for query in batch] for batch in batches] == [["first", "second"][:together], ["second"]][
        : 3 - together
    ]


def test_as_many_as_were_asked_for_are_not_waited_upon(valkey: str) -> None:
    answering, searching = Answering(valkey), Searching(valkey)
    fresh = Ask("x", time.time() + 60, (), "balanced", None, "m", SEARCH)
    for n in range(3):
        answering.pass_on(replace(fresh, id=str(n)), {})

    started = time.monotonic()

    assert [query.ask.id for query in searching.arrived(block_s=1, most=3, gather_s=30).queries] == ["0", "1", "2"]
    assert time.monotonic() - started < 15


def test_every_searcher_is_woken(valkey: str) -> None:
    searchers = [Searching(valkey) for _ in range(2)]
    for searcher in searchers:
        searcher.register()

    Waking(valkey).wake()

    started = time.monotonic()
    assert [searcher.arrived(block_s=30, most=1)[:2] for searcher in searchers] == [([], True), ([], True)]
    assert time.monotonic() - started < 20  # They did not sit out their time; no figure, only far from 60 s.


def test_who_is_woken_is_told_what_has_grown_and_on_whose_behalf(valkey: str) -> None:
    searcher = Searching(valkey)
    searcher.register()
    trail.begin("request-7")

    Waking(valkey).wake(3, 12, [0.5, 1.25])
    Waking(valkey).wake()
    [told, nothing] = searcher.arrived(block_s=30, most=1).news

    assert told == News(3, 12, (0.5, 1.25), {"request": "request-7"})
    assert nothing.sequence == 0


@pytest.mark.parametrize("message", [b"1", b"not JSON", b'{"collection": "x"}', b"[]"])
def test_a_wake_up_of_another_version_tells_nothing(message: bytes) -> None:
    assert News.of_message(message) == News()


def test_the_age_of_the_next_message_is_known(valkey: str) -> None:
    queue = Queue(valkey)
    assert queue.oldest_s() == {}

    queue.ingest([1], names.BULK)
    queue.ingest([2], names.BULK)

    assert list(queue.oldest_s()) == [names.BULK]
    assert 0 <= queue.oldest_s()[names.BULK] < 60


def test_a_broker_that_is_away_is_named_at_once() -> None:
    with pytest.raises(BrokerUnavailable):
        _look("redis://127.0.0.1:1/0")
    Waking("redis://127.0.0.1:1/0").wake()  # Nobody to wake is no error: searchers poll.
