"""Sequence numbers without holes, whoever writes, whatever dies."""

import multiprocessing
import os
import threading
import time
from multiprocessing.synchronize import Event

import pytest

from services.catalog import listing, log, people
from services.catalog.engine import Catalog
from services.errors import CatalogUnavailable, NotFound
from tests.integration.catalog import rows

SECONDS = 60.0 if os.environ.get("COLEGA_SOAK") else 3.0


def _write(url: str, number: int, stop: Event, errors: "multiprocessing.Queue[str]") -> None:
    """Enrol, log and read until told to stop; a share of the transactions is rolled back."""
    catalog = Catalog(url)
    count = 0
    while not stop.is_set():
        try:
            with catalog.transaction() as session:
                gallery = rows.gallery(session).id
                person = people.ensure(session, gallery, f"Person {count % 5}")
                log.append(
                    session, gallery, [log.Change("add", number * 1_000_000 + count, person.id)] * (1 + count % 3)
                )
                if count % 7 == 3:
                    session.rollback()
            with catalog.reading() as session:
                listing.page(session, gallery, limit=3)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client would have met it
            errors.put(repr(error))
            return
        count += 1
    catalog.close()


@pytest.mark.slow
def test_six_processes_write_at_once_without_an_error_or_a_hole(catalog: Catalog) -> None:
    context = multiprocessing.get_context("spawn")
    stop, errors = context.Event(), context.Queue()
    url = catalog.url.render_as_string(hide_password=False)
    writers = [context.Process(target=_write, args=(url, n, stop, errors)) for n in range(6)]
    for writer in writers:
        writer.start()

    seen: list[int] = []
    with catalog.reading() as session:
        gallery = rows.gallery(session).id
    ends = float("inf")
    while time.monotonic() < ends or any(writer.is_alive() for writer in writers):
        if seen:  # From the first entry on: six processes take their time to start.
            ends = min(ends, time.monotonic() + SECONDS)
        if time.monotonic() >= ends or not errors.empty():
            stop.set()
            ends = 0.0
        with catalog.reading() as session:
            seen += [e.sequence for e in log.entries(session, gallery, 0, seen[-1] if seen else 0, 500)]
        time.sleep(0.01)
    for writer in writers:
        writer.join()
    with catalog.reading() as session:
        while more := log.entries(session, gallery, 0, seen[-1] if seen else 0, 10_000):
            seen += [e.sequence for e in more]
        head = log.head(session, gallery)

    assert errors.empty(), errors.get()
    assert len(seen) > 20
    assert seen == list(range(1, len(seen) + 1))  # What a follower read as it happened has no hole and no double.
    assert head is not None
    assert head[1] == seen[-1]


def test_a_transaction_that_is_undone_leaves_no_number(catalog: Catalog) -> None:
    with catalog.reading() as session:
        gallery = rows.gallery(session).id
    with pytest.raises(NotFound), catalog.transaction() as session:
        log.append(session, gallery, [log.Change("add", 1)])
        raise NotFound("face", 1)

    with catalog.transaction() as session:
        appended = log.append(session, gallery, [log.Change("add", 2), log.Change("add", 3)])

    with catalog.reading() as session:
        assert appended.head == 2
        assert [e.face_id for e in log.entries(session, gallery, 0, 0, 10)] == [2, 3]


def test_faces_come_in_batches_that_miss_none(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session).id, rows.model(session)
        generation = rows.generation(session, model).id
        ids = [rows.face(session, rows.photo(session, str(n)), None, embedded_by=model).id for n in range(7)]
        rows.face(session, rows.photo(session, "not embedded"), None)

    with catalog.reading() as session:
        batches = list(log.faces(session, gallery, generation, batch=3))

    assert [list(batch.face_ids) for batch in batches] == [ids[:3], ids[3:6], ids[6:]]


def test_owners_are_those_of_the_faces_that_have_an_embedding(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session).id, rows.model(session)
        generation = rows.generation(session, model).id
        for n in range(5):
            rows.face(session, rows.photo(session, str(n)), None, embedded_by=model)
        rows.face(session, rows.photo(session, "not embedded"), None)

    with catalog.reading() as session:
        owners = [row for batch in log.owners(session, gallery, generation, batch=2) for row in batch]
        [faces] = log.faces(session, gallery, generation)

    assert owners == list(zip(faces.face_ids, faces.person_ids, strict=True))
    assert len(owners) == 5


def test_a_writer_that_holds_the_catalog_makes_others_wait_and_then_give_up(catalog_url: str, catalog: Catalog) -> None:
    impatient = Catalog(catalog_url, busy_s=0.3)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with catalog.transaction() as session:
            log.append(session, rows.gallery(session).id, [log.Change("add", 1)])
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        with pytest.raises(CatalogUnavailable, match="locked"), impatient.transaction() as session:
            log.append(session, rows.gallery(session).id, [log.Change("add", 2)])
        with impatient.reading() as session:
            assert log.head(session, rows.gallery(session).id) is not None  # Reading goes on.
    finally:
        release.set()
        holder.join()
        impatient.close()
