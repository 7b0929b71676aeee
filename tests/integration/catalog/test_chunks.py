"""Chunks: what is left to do of a rebuild, and who does which part of it."""

import itertools
from collections.abc import Sequence

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.catalog import generations
from services.catalog.engine import Catalog
from services.catalog.rebuilding import chunks, rebuilds
from services.catalog.schema import Generation
from services.catalog.tables.rebuild import Chunk, Rebuild
from tests.integration.catalog import rows

pytestmark = pytest.mark.slow


def begun(session: Session, faces: int) -> tuple[Rebuild, Generation]:
    """A rebuild of a collection of so many faces that has just begun."""
    old, new = rows.model(session), rows.model(session)
    rows.generation(session, old)
    for n in range(faces):
        rows.face(session, rows.photo(session, f"photo {n}"), None, embedded_by=old)
    rebuild = rebuilds.create(session, rows.gallery(session), new, None, {}, by="test")
    made = generations.begin(session, rebuild.collection_id, new.id, None, round_=0)
    rebuilds.begin(session, rebuild, made, {"source": "chips"})
    return rebuild, made


def planned(session: Session, rebuild: Rebuild, made: Generation, *, size: int) -> Sequence[int]:
    """Plan all faces; how many each chunk has."""
    after: int | None = 0
    while after is not None:
        after = chunks.plan(session, rebuild, made, chunks.CHIPS, size=size, after=after)
    return session.scalars(select(Chunk.total).order_by(Chunk.id)).all()


def test_every_face_is_in_one_chunk(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "PLANNED_AT_ONCE", 6)
    with catalog.transaction() as session:
        rebuild, made = begun(session, 10)

        assert planned(session, rebuild, made, size=4) == [4, 2, 4]
        ranges = session.execute(select(Chunk.first_id, Chunk.last_id).order_by(Chunk.id)).all()
        assert all(last < first for (_, last), (first, _) in itertools.pairwise(ranges))


def test_what_has_ended_is_claimed_by_nobody_and_what_is_claimed_by_one(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        rebuild, made = begun(session, 2)
        planned(session, rebuild, made, size=1)
        first, second, third = (chunks.claim(session, rebuild.id, by=f"here:{n}", lease_s=60) for n in range(3))

        assert first is not None
        assert second is not None
        assert (first.first_id < second.first_id, third) == (True, None)
        assert chunks.finish(session, first, faces=1)
        assert not chunks.finish(session, first, faces=1)
        assert (chunks.left(session, rebuild.id), chunks.free(session), chunks.worked_on(session)) == (
            1,
            {},
            {rebuild.id},
        )
        chunks.put_back(session, second)
        assert chunks.free(session) == {rebuild.id: 1}


def test_what_the_dead_held_is_free_at_once(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        rebuild, made = begun(session, 2)
        planned(session, rebuild, made, size=1)
        chunks.claim(session, rebuild.id, by="here:1", lease_s=60)
        chunks.claim(session, rebuild.id, by="here:2", lease_s=60)

        assert sorted(chunks.claimants(session, "here")) == ["here:1", "here:2"]
        assert chunks.release_dead(session, "here", ["here:2"]) == 1
        assert chunks.free(session) == {rebuild.id: 1}


def test_photos_are_looked_at_again_by_the_rebuild_that_made_the_generation(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        rebuild, made = begun(session, 1)
        first = generations.live_of(session, rebuild.collection_id)[0]

        assert chunks.look_again(session, made, [7, 3, 4, 5, 9]) == 3
        assert chunks.look_again(session, first, [3]) == 0
        found = session.execute(select(Chunk.first_id, Chunk.last_id, Chunk.total).order_by(Chunk.id)).all()
        assert [tuple(row) for row in found] == [(3, 5, 3), (7, 7, 1), (9, 9, 1)]


@pytest.mark.parametrize("state", ["paused", "failed", "cancelled"])
def test_nobody_works_on_a_rebuild_that_stands_still(catalog: Catalog, state: str) -> None:
    with catalog.transaction() as session:
        rebuild, made = begun(session, 1)
        planned(session, rebuild, made, size=1)
        rebuild.state = state
        session.flush()

        assert chunks.claim(session, rebuild.id, by="here:1", lease_s=60) is None
        assert chunks.free(session) == {}
        assert session.scalar(select(func.count()).select_from(Chunk)) == 1
