"""Log entries and snapshots stay as long as a searcher may need them, and no longer."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from index.follower import Follower
from index.frozen import freeze
from index.manifest import MANIFEST
from services.catalog import generations
from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Embedding, LogEntry
from services.photos import keys
from services.photos.store import PhotoStore
from tests import vaults
from tests.crash.following import home
from tests.crash.test_index import Writing
from tests.integration.catalog import rows
from workers import pruning
from workers.serving.following import CatalogLog
from workers.serving.shelving import PhotoStoreShelf

pytestmark = pytest.mark.slow


@pytest.fixture
def writing(catalog: Catalog, tmp_path: Path) -> Writing:
    """A catalog with some history, all of it older than a day."""
    made = Writing(catalog, tmp_path)
    made.write(10)
    return made


def _sequences(catalog: Catalog) -> list[int]:
    with catalog.reading() as session:
        return list(session.scalars(select(LogEntry.sequence).order_by(LogEntry.sequence)))


def _snapshot(writing: Writing, store: PhotoStore) -> int:
    """What a snapshot on the shelf was taken at."""
    shelf = PhotoStoreShelf(vaults.sealed(store, writing.catalog), writing.collection, writing.generation)
    at = home(writing.root / "searcher", writing.root)
    at.snapshots._shelf = shelf
    replica = Follower(CatalogLog(writing.catalog), writing.collection, writing.generation, at).start()
    assert replica is not None
    at.snapshots.upload(at.snapshots.write(freeze(replica)))
    return replica.sequence


def test_a_searcher_that_starts_finds_all_the_entries_it_needs(writing: Writing, photo_store: PhotoStore) -> None:
    first = _snapshot(writing, photo_store)
    writing.write(3)
    _snapshot(writing, photo_store)
    writing.write(3)

    pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog), entries_for_s=-60.0)

    assert _sequences(writing.catalog)[0] == first + 1
    writing.is_whole()


def test_entries_of_the_last_day_stay(writing: Writing, photo_store: PhotoStore) -> None:
    before = _sequences(writing.catalog)

    assert pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog)) == 0
    assert _sequences(writing.catalog) == before


def test_without_snapshots_searchers_start_from_rows(writing: Writing, photo_store: PhotoStore) -> None:
    pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog), entries_for_s=-60.0)

    assert _sequences(writing.catalog) == []
    writing.is_whole()
    assert writing.origins == ["rows"]


def test_a_snapshot_that_lacks_an_object_keeps_no_one_from_the_entries(
    writing: Writing, photo_store: PhotoStore
) -> None:
    _snapshot(writing, photo_store)
    writing.write(2)
    second = _snapshot(writing, photo_store)
    prefix = keys.snapshots(writing.collection, writing.generation)
    [state] = [s.key for s in photo_store.list(prefix) if f"-{second:020d}/state" in s.key]
    photo_store.delete(state)
    writing.write(1)
    entries = _sequences(writing.catalog)

    pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog), entries_for_s=-60.0)

    assert _sequences(writing.catalog)[0] < second
    assert _sequences(writing.catalog)[-1] == entries[-1]
    writing.is_whole()


def test_a_searcher_that_was_away_for_long_recovers_alone(writing: Writing, photo_store: PhotoStore) -> None:
    late = Follower(
        CatalogLog(writing.catalog), writing.collection, writing.generation, home(writing.root / "l", writing.root)
    )
    late.start()
    writing.write(4)
    pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog), entries_for_s=-60.0)

    replica = late.follow()

    assert replica is not None
    with writing.catalog.reading() as session:
        assert replica.sequence == session.scalar(select(func.max(Collection.head)))
    assert late.reloads == 1
    assert "gap" in late.troubles[0]
    assert np.isfinite(replica.faces.search(np.eye(1, replica.faces.dimension, dtype=np.float32), 1).similarities).all()


def test_snapshots_of_a_generation_that_was_dropped_go_with_it(
    writing: Writing, photo_store: PhotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    _snapshot(writing, photo_store)
    prefix = keys.snapshots(writing.collection, writing.generation)
    with writing.catalog.transaction() as session:
        model = rows.model(session)
        for old in session.scalars(select(Embedding)).all():
            session.add(Embedding(face_id=old.face_id, model_id=model.id, vector=old.vector, variant="fp32"))
        generations.switch(session, rows.generation(session, model))
        generations.drop(session, generations.by_id(session, writing.generation))

    assert (
        pruning.drop_lost_snapshots(writing.catalog, vaults.sealed(photo_store, writing.catalog)) == 0
    )  # A searcher may be writing one.
    assert list(photo_store.list(prefix))
    monkeypatch.setattr(pruning, "_ORPHANS_S", -60.0)
    assert pruning.drop_lost_snapshots(writing.catalog, vaults.sealed(photo_store, writing.catalog)) > 0
    assert not list(photo_store.list(prefix))


def test_what_was_kept_by_the_number_of_a_model_is_no_generations(writing: Writing, photo_store: PhotoStore) -> None:
    photo_store.put(f"snapshots/{writing.collection}/{writing.generation}/x/{MANIFEST}", b"{}")

    assert (
        keys.snapshots(writing.collection, writing.generation)
        == f"snapshots/{writing.collection}/g{writing.generation}/"
    )
    assert (
        list(
            PhotoStoreShelf(vaults.sealed(photo_store, writing.catalog), writing.collection, writing.generation).names()
        )
        == []
    )


def test_a_generation_that_is_being_built_keeps_no_entries(writing: Writing, photo_store: PhotoStore) -> None:
    _snapshot(writing, photo_store)
    with writing.catalog.transaction() as session:
        generations.begin(session, writing.collection, rows.model(session).id, None, round_=0)

    pruning.prune_logs(writing.catalog, vaults.sealed(photo_store, writing.catalog), entries_for_s=-60.0)

    assert _sequences(writing.catalog) == []
    writing.is_whole()
