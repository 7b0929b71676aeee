"""Webhooks: what happens is told, at least once, of one subject in order, and nobody waits for another's target."""

import random
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import func, select, update

from services.catalog import computations, people
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.rebuilding import rebuilds
from services.catalog.schema import Item, Job, Person
from services.catalog.tables.rebuild import Rebuild
from services.catalog.tables.webhook import Delivery, Webhook
from services.catalog.telling import deliveries, webhooks
from tests.integration.catalog import rows
from tests.receiver import Came, Receiver, is_signed
from tests.waiting import eventually
from workers import delivering
from workers.delivering import Deliverer, How

pytestmark = pytest.mark.slow

HOW = How(private=True, trust=ssl.create_default_context(), within_s=1.0)


@contextmanager
def running(catalog: Catalog, how: How = HOW, **more: float) -> Iterator[None]:
    """A deliverer at work inside of the block."""
    ended = threading.Event()
    thread = threading.Thread(target=Deliverer(catalog, how.post, looks_every_s=0.05, **more).run, args=(ended,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def webhook(catalog: Catalog, url: str, *events: str) -> Webhook:
    with catalog.transaction() as session:
        return webhooks.create(session, url, events or webhooks.EVENTS, None, by="test")


def tell(catalog: Catalog, subject: str, *numbers: int) -> None:
    for number in numbers:
        with catalog.transaction() as session:
            gallery = rows.gallery(session).id
            webhooks.tell(session, webhooks.REBUILD_STATE, gallery, subject, {"number": number})


def states(catalog: Catalog) -> dict[str, int]:
    with catalog.reading() as session:
        counted = session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
        return dict(counted.all())


def is_over(catalog: Catalog) -> bool:
    return "waiting" not in states(catalog)


def first_told(came: list[Came]) -> dict[str, list[int]]:
    """By subject, the numbers in the order in which each was taken first."""
    told: dict[str, list[int]] = defaultdict(list)
    for one in came:
        if one.data["number"] not in told[one.body["subject"]]:
            told[one.body["subject"]].append(one.data["number"])
    return dict(told)


def test_an_event_arrives_signed_and_says_what_happened(catalog: Catalog) -> None:
    with Receiver() as receiver:
        hook = webhook(catalog, receiver.url)
        tell(catalog, "reb_1", 7)
        with running(catalog):
            eventually(lambda: states(catalog) == {"delivered": 1})

        came = receiver.all[0]
        assert is_signed(came, hook.secret)
        assert not is_signed(came, "whsec_" + "A" * 44)
        assert came.headers["Content-Type"] == "application/json"
        assert came.body == {
            "id": came.headers["webhook-id"],
            "kind": "rebuild.state",
            "created_at": came.body["created_at"],
            "collection": "default",
            "subject": "reb_1",
            "data": {"number": 7},
        }


@pytest.mark.parametrize("seed", range(2))
def test_of_one_subject_events_arrive_in_order_whatever_fails(catalog: Catalog, seed: int) -> None:
    draw = random.Random(seed)
    failures: dict[str, int] = defaultdict(int)

    def answer(event: dict[str, Any]) -> int:
        if failures[event["id"]] == 4 or draw.random() < 0.5:
            return draw.choice([200, 204])
        failures[event["id"]] += 1
        if draw.random() < 0.2:
            raise ConnectionResetError
        return draw.choice([500, 503, 302, 404])

    with Receiver(answer) as receiver:
        webhook(catalog, receiver.url)
        with running(catalog, first_pause_s=0.01):
            for number in range(6):
                for subject in ("a", "b", "c"):
                    tell(catalog, subject, number)
            eventually(lambda: is_over(catalog))

        assert first_told(receiver.taken) == {subject: list(range(6)) for subject in ("a", "b", "c")}
        assert states(catalog) == {"delivered": 18}


def test_a_target_that_never_answers_delays_no_other(catalog: Catalog) -> None:
    with Receiver() as receiver, socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
        for _ in range(3):
            webhook(catalog, f"http://127.0.0.1:{deaf.getsockname()[1]}/")
        webhook(catalog, receiver.url)
        for subject in range(20):
            tell(catalog, f"s{subject}", 0)
        began = time.monotonic()
        with running(catalog, How(private=True, trust=HOW.trust, within_s=5.0)):
            eventually(lambda: len(receiver.taken) == 20)
            took_s = time.monotonic() - began

        assert took_s < 4.0  # Less than a single attempt of the others.


def test_what_is_given_up_lets_what_follows_go_on(catalog: Catalog) -> None:
    with Receiver(lambda event: 500 if event["data"]["number"] == 0 else 200) as receiver:
        webhook(catalog, receiver.url)
        tell(catalog, "a", 0, 1)
        with catalog.transaction() as session:  # As if it had been tried for a day.
            first = select(func.min(Delivery.id)).scalar_subquery()
            a_day = delivering.TRIED_FOR_S + 60.0
            session.execute(update(Delivery).where(Delivery.id == first).values(created_at=Delivery.created_at - a_day))
        with running(catalog):
            eventually(lambda: states(catalog) == {"given_up": 1, "delivered": 1})

        assert [came.data["number"] for came in receiver.all] == [0, 1]


def test_pauses_double_up_to_an_hour(catalog: Catalog) -> None:
    deliverer = Deliverer(catalog, HOW.post)
    pauses = [deliverer._pause_s(attempts) for attempts in range(1, 40)]

    assert 4.0 <= pauses[0] <= 6.0
    assert all(0.8 * 5 * 2**n <= pause <= 1.2 * 5 * 2**n for n, pause in enumerate(pauses[:9]))
    assert all(2880.0 <= pause <= 4320.0 for pause in pauses[12:])
    assert len(set(pauses[12:])) > 20


def test_a_receiver_that_wants_to_be_left_alone_is(catalog: Catalog) -> None:
    with Receiver(lambda _: 429) as receiver:
        receiver.headers["Retry-After"] = "600"
        webhook(catalog, receiver.url)
        tell(catalog, "a", 0)
        with running(catalog, first_pause_s=0.01):
            eventually(lambda: bool(receiver.all))
            eventually(lambda: _waits_s(catalog) > 500)

        assert len(receiver.all) == 1


def test_what_is_gone_is_given_up_at_once(catalog: Catalog) -> None:
    with Receiver(lambda _: 410) as receiver:
        webhook(catalog, receiver.url)
        tell(catalog, "a", 0)
        with running(catalog):
            eventually(lambda: states(catalog) == {"given_up": 1})


def test_what_was_under_way_when_its_process_died_is_sent_again_and_what_follows_waits(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        tell(catalog, "a", 0, 1)
        with catalog.transaction() as session:  # As whoever dies leaves it.
            hook = deliveries.numbers(session)[0]
            claimed = deliveries.claim(session, deliveries.due(session, hook, 9), "elsewhere:1", 1.5)
            assert [one.body["data"]["number"] for one in claimed] == [0]
            assert deliveries.due(session, hook, 9) == []
        with running(catalog):
            eventually(lambda: states(catalog) == {"delivered": 2})

        assert [came.data["number"] for came in receiver.taken] == [0, 1]


def test_two_that_deliver_at_once_keep_the_order_and_send_nothing_twice(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        with running(catalog), running(catalog):
            for number in range(8):
                tell(catalog, "a", number)
                tell(catalog, "b", number)
            eventually(lambda: states(catalog) == {"delivered": 16})

        assert first_told(receiver.all) == {"a": list(range(8)), "b": list(range(8))}
        assert len(receiver.all) == 16


def test_a_job_is_announced_once_when_its_last_photo_has_ended(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url, webhooks.JOB_ENDED)
        with catalog.transaction() as session:
            job = jobs.create(session, rows.gallery(session).id, kind="upload", queue="enrol")
        deliverer = Deliverer(catalog, HOW.post)
        deliverer.look()  # An upload whose photos are still being stored.
        with catalog.transaction() as session:
            one, two = (rows.item(session, session.get_one(Job, job.id), name) for name in ("one", "two"))
        deliverer.look()
        _end(catalog, one, "done")
        deliverer.look()
        assert states(catalog) == {}
        _end(catalog, two, "rejected")
        with running(catalog), running(catalog):
            eventually(lambda: states(catalog) == {"delivered": 1})

        told = receiver.all[0]
        assert (told.body["kind"], told.body["subject"]) == ("job.ended", job.public_id)
        assert told.data == {
            "job": job.public_id,
            "kind": "upload",
            "state": "done",
            "problem": None,
            "total": 2,
            "done": 1,
            "duplicate": 0,
            "cancelled": 0,
            "rejected": 1,
            "sequence": None,
        }


def test_a_job_that_is_tried_again_is_announced_again(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        with catalog.transaction() as session:
            job = rows.job(session)
            item = rows.item(session, job, "one")
        _end(catalog, item, "rejected")
        with running(catalog):
            eventually(lambda: len(receiver.all) == 1)
            with catalog.transaction() as session:
                jobs.retry(session, session.get_one(Job, job.id))
            _end(catalog, item, "done")
            eventually(lambda: len(receiver.all) == 2)

        assert [came.data["done"] for came in receiver.all] == [0, 1]


def test_a_job_that_ended_before_there_was_a_webhook_is_not_told(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        item = rows.item(session, rows.job(session), "one")
    _end(catalog, item, "done")
    Deliverer(catalog, HOW.post).look()
    webhook(catalog, "http://127.0.0.1:9/")

    Deliverer(catalog, HOW.post).look()

    assert states(catalog) == {}


def test_what_is_rolled_back_is_not_told(catalog: Catalog) -> None:
    webhook(catalog, "http://127.0.0.1:9/")
    with pytest.raises(RuntimeError), catalog.transaction() as session:
        webhooks.tell(session, webhooks.REBUILD_STATE, rows.gallery(session).id, "a", {})
        raise RuntimeError

    assert states(catalog) == {}


def test_a_webhook_is_told_what_it_asked_for_of_its_collection(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session)
        webhooks.create(session, "http://a/", [webhooks.JOB_ENDED], None, by="test")
        mine = webhooks.create(session, "http://b/", [webhooks.REBUILD_STATE], gallery.id, by="test")
        told = webhooks.tell(session, webhooks.REBUILD_STATE, gallery.id, "a", {})

        assert told.webhooks == 1
        assert [one.kind for one in deliveries.page(session, mine, limit=9)] == ["rebuild.state"]


def test_who_is_erased_is_told_of_no_more(catalog: Catalog) -> None:
    webhook(catalog, "http://127.0.0.1:9/")
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        ben = people.ensure(session, rows.gallery(session).id, "Ben")
        for person in (ana, ben):
            webhooks.matched(session, person, "door", {})
    with catalog.transaction() as session:
        people.delete(session, session.get_one(Person, ana.id))

    with catalog.reading() as session:
        left = session.scalars(select(Delivery)).all()
    assert [one.person_id for one in left] == [ben.id]
    assert "Ana" not in str([one.body for one in left])


def test_of_whom_was_told_nothing_is_kept_once_it_has_arrived(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        with catalog.transaction() as session:
            ana = people.ensure(session, rows.gallery(session).id, "Ana", "e-1")
            webhooks.matched(session, ana, "door", {"similarity": 0.8})
        with running(catalog):
            eventually(lambda: states(catalog) == {"delivered": 1})

        assert receiver.all[0].data == {
            "camera": "door",
            "person": {"id": ana.public_id, "name": "Ana", "external_id": "e-1"},
            "similarity": 0.8,
        }
        with catalog.reading() as session:
            assert session.scalars(select(Delivery.body)).all() == [None]


def test_matches_do_not_pile_up_without_end(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_MATCHES_WAITING", 3)
    webhook(catalog, "http://127.0.0.1:9/")
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        for _ in range(5):
            webhooks.matched(session, ana, "door", {})

    assert states(catalog) == {"waiting": 3, "given_up": 2}


def test_deliveries_that_ended_long_ago_are_forgotten(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        tell(catalog, "a", 0)
        with running(catalog):
            eventually(lambda: states(catalog) == {"delivered": 1})
        with catalog.transaction() as session:
            deliveries.prune(session)
            assert session.scalar(select(func.count()).select_from(Delivery)) == 1
            session.execute(update(Delivery).values(finished_at=Delivery.finished_at - deliveries.KEPT_S))
            deliveries.prune(session)

        assert states(catalog) == {}


def test_a_computation_is_told_of_at_each_of_its_ends(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url)
        with catalog.transaction() as session:
            job = computations.create(session, rows.gallery(session).id, computations.CALIBRATION, {})
            held = computations.claim(session, job.id, by="here:1", lease_s=60)
            assert held is not None
        with catalog.transaction() as session:
            computations.fail(session, held, "Too few people.", "too-few-photos")
        with catalog.transaction() as session:
            assert computations.retry(session, session.get_one(Job, job.id))
            held = computations.claim(session, job.id, by="here:1", lease_s=60)
            assert held is not None
            assert computations.finish(session, held, {})
        with running(catalog):
            eventually(lambda: len(receiver.all) == 2 and is_over(catalog))

        assert [(came.data["state"], came.data["problem"]) for came in receiver.all] == [
            ("failed", "too-few-photos"),
            ("done", None),
        ]
        assert "Too few" not in str([came.body for came in receiver.all])


def test_a_rebuild_is_told_of_at_each_change_of_its_state(catalog: Catalog) -> None:
    with Receiver() as receiver:
        webhook(catalog, receiver.url, webhooks.REBUILD_STATE)
        with catalog.transaction() as session:
            rows.generation(session, rows.model(session))
            made = rebuilds.create(session, rows.gallery(session), rows.model(session), None, {}, by="test")
        for change in (lambda s, r: rebuilds.fail(s, r, "No.", "conflict"), rebuilds.resume, rebuilds.cancel):
            with catalog.transaction() as session:
                change(session, session.get_one(Rebuild, made.id))
        with running(catalog):
            eventually(lambda: len(receiver.all) == 4 and is_over(catalog))

        assert [came.data["state"] for came in receiver.all] == ["planning", "failed", "planning", "cancelled"]
        assert {came.body["subject"] for came in receiver.all} == {made.public_id}


def _end(catalog: Catalog, item: Item, state: str) -> None:
    with catalog.transaction() as session:
        session.execute(update(Item).where(Item.id == item.id).values(state=state))


def _waits_s(catalog: Catalog) -> float:
    with catalog.reading() as session:
        return session.scalar(select(func.max(Delivery.next_at - Delivery.created_at))) or 0.0
