"""Jobs are rows: whatever happens to messages and workers, every item ends once."""

import threading

from sqlalchemy import update

from services.catalog.engine import Catalog
from services.catalog.importing import claims, jobs
from services.catalog.schema import Item
from services.rejections import Rejection
from tests.integration.catalog import rows


def _items(catalog: Catalog, count: int) -> list[int]:
    with catalog.transaction() as session:
        job = rows.job(session)
        return [rows.item(session, job, f"content {n}").id for n in range(count)]


def _expire(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        session.execute(update(Item).where(Item.claim.is_not(None)).values(claim_expires_at=0.0))


def test_an_item_is_claimed_by_one_worker_only(catalog: Catalog) -> None:
    ids = _items(catalog, 3)
    taken: list[int] = []

    def work() -> None:
        with catalog.transaction() as session:
            taken.extend(w.item.id for w in claims.claim(session, ids, by="host:1", lease_s=60).work)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(taken) == ids


def test_a_worker_that_lost_its_claim_cannot_finish(catalog: Catalog) -> None:
    [item_id] = _items(catalog, 1)
    with catalog.transaction() as session:
        [slow] = claims.claim(session, [item_id], by="host:1", lease_s=60).work
    _expire(catalog)
    with catalog.transaction() as session:
        [quick] = claims.claim(session, [item_id], by="host:2", lease_s=60).work

    with catalog.transaction() as session:
        late = claims.finish(session, [(slow, claims.Outcome("done"))])
        right = claims.finish(session, [(quick, claims.Outcome("done"))])

    assert (late, right) == (set(), {item_id})


def test_an_item_with_an_attempt_behind_it_is_worked_on_alone(catalog: Catalog) -> None:
    ids = _items(catalog, 3)
    with catalog.transaction() as session:
        claims.claim(session, ids[:1], by="host:1", lease_s=60)
    _expire(catalog)

    with catalog.transaction() as session:
        claimed = claims.claim(session, ids, by="host:1", lease_s=60)

    assert ([w.item.id for w in claimed.work], claimed.alone) == (ids[1:], ids[:1])


def test_only_an_item_that_killed_its_worker_three_times_alone_is_rejected(catalog: Catalog) -> None:
    [killer] = _items(catalog, 1)
    for _ in range(claims.ALONE_AT_MOST):
        with catalog.transaction() as session:
            assert claims.claim(session, [killer], by="host:1", lease_s=60).work
        _expire(catalog)

    with catalog.transaction() as session:
        last = claims.claim(session, [killer], by="host:1", lease_s=60)

    assert (last.work, last.ended) == ([], [killer])
    with catalog.reading() as session:
        item = session.get_one(Item, killer)
        assert (item.state, item.reason) == ("rejected", Rejection.CRASHED_WORKER)


def test_the_sweep_finds_what_was_lost_and_leaves_what_is_worked_on(catalog: Catalog) -> None:
    held, expired, unclaimed = _items(catalog, 3)
    with catalog.transaction() as session:
        claims.claim(session, [expired], by="host:1", lease_s=60)
    _expire(catalog)
    with catalog.transaction() as session:
        claims.claim(session, [held], by="host:2", lease_s=60)

    with catalog.transaction() as session:
        found = claims.sweep(session, 100, unclaimed_for_s=0.0)

    assert found == {"bulk": [expired, unclaimed]}


def test_what_a_dead_process_held_is_free_at_once(catalog: Catalog) -> None:
    first, second = _items(catalog, 2)
    with catalog.transaction() as session:
        claims.claim(session, [first], by="here:1", lease_s=60)
        claims.claim(session, [second], by="here:2", lease_s=60)

    with catalog.transaction() as session:
        freed = claims.release_dead(session, "here", ["here:2"])

    assert freed == [first]


def test_an_item_waits_for_its_bytes_and_wakes_when_they_are_done(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        job = rows.job(session)
        first = rows.item(session, job, "same")
        twin = jobs.add_item(session, job, "twin.jpg", state="waiting")
        session.execute(update(Item).where(Item.id == twin.id).values(photo_id=first.photo_id))

    with catalog.transaction() as session:
        assert first.photo_id is not None
        woken = claims.wake(session, first.photo_id)

    assert woken == [twin.id]


def test_an_item_whose_forerunner_was_cancelled_goes_back_to_work(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        job, other = rows.job(session), rows.job(session)
        first = rows.item(session, job, "same")
        twin = jobs.add_item(session, other, "twin.jpg", state="waiting")
        session.execute(update(Item).where(Item.id == twin.id).values(photo_id=first.photo_id))
        jobs.cancel(session, job)

    with catalog.transaction() as session:
        found = claims.sweep(session, 100, unclaimed_for_s=0.0)

    assert found == {"bulk": [twin.id]}


def test_progress_counts_each_item_once(catalog: Catalog) -> None:
    ids = _items(catalog, 4)
    with catalog.transaction() as session:
        first, second, third, _ = claims.claim(session, ids, by="host:1", lease_s=60).work
        ends = [
            (first, claims.Outcome("done", faces=1)),
            (second, claims.Outcome("duplicate")),
            (third, claims.Outcome("rejected", Rejection.NO_FACE)),
        ]
        assert claims.finish(session, ends) == {first.item.id, second.item.id, third.item.id}
        claims.stamp(session, [first.item.id], 7)

    with catalog.reading() as session:
        progress = jobs.progress(session, first.job)

    assert (progress.state, progress.total, progress.ended, progress.sequence) == ("running", 4, 3, 7)
    assert (progress.done, progress.duplicate, progress.rejected) == (1, 1, 1)
