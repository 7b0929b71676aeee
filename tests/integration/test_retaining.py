"""People whose time is over are erased, and a wrong clock erases nobody."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select, update

from services.catalog import people
from services.catalog.engine import Catalog
from services.catalog.erasing import retention
from services.catalog.schema import Collection, Face, Person, Photo, now
from services.catalog.tables.privacy import Erasure
from tests.integration.catalog import rows
from workers.retaining import delete_photos_of_nobody, retain

DAY_S = 86_400.0


def enrol(catalog: Catalog, count: int, *, days_ago: float = 0.0, name: str = "Person") -> list[str]:
    """So many people, each with a face, enrolled so long ago. Their ids."""
    with catalog.transaction() as session:
        found = []
        for number in range(count):
            person = people.ensure(session, rows.gallery(session).id, f"{name} {number}")
            rows.face(session, rows.photo(session, f"{name} {number}"), person)
            person.created_at = (session.scalar(select(now())) or 0.0) - days_ago * DAY_S
            found.append(person.public_id)
        return found


def keep(catalog: Catalog, days: float | None, **retained: float) -> None:
    """Say how long the collection keeps people, and what retention has seen last."""
    with catalog.transaction() as session:
        gallery = rows.gallery(session)
        gallery.retention_days = days
        if retained:
            gallery.retained = dict(retained)


def applied(catalog: Catalog, most_share: float = 0.1) -> int:
    return retain(catalog, None, most_share=most_share)


def left(catalog: Catalog) -> int:
    with catalog.reading() as session:
        return session.scalar(select(func.count()).select_from(Person)) or 0


def told(catalog: Catalog) -> dict[str, object]:
    with catalog.reading() as session:
        return dict(rows.gallery(session).retained or {})


@contextmanager
def later(catalog: Catalog, days: float) -> Iterator[None]:
    """The catalog's clock, so many days ahead: every moment that is written is as much further in the past."""
    keep(catalog, None)
    with catalog.transaction() as session:
        back = days * DAY_S
        session.execute(update(Person).values(created_at=Person.created_at - back, expires_at=Person.expires_at - back))
        gallery = rows.gallery(session)
        gallery.retained = {**(gallery.retained or {}), "looked_at": (session.scalar(select(now())) or 0.0) - back}
    yield


def test_who_was_enrolled_too_long_ago_is_erased_with_an_entry_in_the_ledger(catalog: Catalog) -> None:
    enrol(catalog, 3)
    [old] = enrol(catalog, 1, days_ago=31, name="Old")
    keep(catalog, 30.0)

    erased = applied(catalog)

    assert erased == 1
    assert left(catalog) == 3
    with catalog.reading() as session:
        [entry] = session.scalars(select(Erasure))
        assert (entry.person, entry.cause, entry.asked_by) == (old, "expired", None)
    assert told(catalog)["erased"] == 1


def test_an_end_of_their_own_counts_where_the_collection_keeps_people_for_ever(catalog: Catalog) -> None:
    enrol(catalog, 2)
    with catalog.transaction() as session:
        first = session.scalars(select(Person).order_by(Person.id).limit(1)).one()
        first.expires_at = (session.scalar(select(now())) or 0.0) - 1.0

    assert applied(catalog) == 1
    assert left(catalog) == 1


def test_too_many_at_once_stay_until_somebody_confirms_it(catalog: Catalog) -> None:
    enrol(catalog, 20)
    enrol(catalog, 12, days_ago=31, name="Old")
    keep(catalog, 30.0)

    held = applied(catalog)
    with catalog.transaction() as session:
        confirmed = retention.confirm(session, rows.gallery(session), 12)
    erased = applied(catalog)

    assert (held, confirmed, erased) == (0, 12, 12)
    assert left(catalog) == 20
    assert (told(catalog)["held"], told(catalog)["erased"]) == (0, 12)


def test_a_clock_that_jumps_by_years_erases_nobody_of_a_small_collection_either(catalog: Catalog) -> None:
    enrol(catalog, 4)
    applied(catalog)

    with later(catalog, 3 * 365):
        keep(catalog, 365.0)
        assert applied(catalog) == 0
        assert applied(catalog) == 0, "nor does the second look"

    assert left(catalog) == 4
    assert (told(catalog)["held"], told(catalog)["why"]) == (4, "clock")


def test_few_are_erased_after_a_pause_as_long_as_they_are_a_small_share(catalog: Catalog) -> None:
    enrol(catalog, 20)
    enrol(catalog, 1, days_ago=300, name="Old")
    applied(catalog)

    with later(catalog, 100):
        keep(catalog, 365.0)
        assert applied(catalog) == 1


def test_photos_of_nobody_go_after_the_days_and_those_of_somebody_stay(catalog: Catalog) -> None:
    enrol(catalog, 1)
    with catalog.transaction() as session:
        for content in ("nobody", "waits for review", "young"):
            photo = rows.photo(session, content)
            face = rows.face(session, photo, None)
            if content == "nobody":
                session.execute(update(Face).where(Face.id == face.id).values(chip_key=None))
        session.execute(update(Photo).values(state="done", created_at=Photo.created_at - 31 * DAY_S))
        young = rows.photo(session, "younger")
        young.state = "done"

    assert delete_photos_of_nobody(catalog, 30) == 1
    with catalog.reading() as session:
        names = set(session.scalars(select(Photo.source_name)))
    assert names == {"Person 0.jpg", "waits for review.jpg", "young.jpg", "younger.jpg"}


def test_a_collection_says_when_it_was_looked_at(catalog: Catalog) -> None:
    applied(catalog)

    with catalog.reading() as session:
        assert all((one.retained or {})["looked_at"] > 0 for one in session.scalars(select(Collection)))
