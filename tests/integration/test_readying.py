"""A worker has the models open that a switch may ask for next, says so, and keeps queries for a comparison where it is told to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.broker.shadows import Pair
from services.catalog import generations, models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import rebuilds
from services.catalog.running import processes, readiness
from services.catalog.schema import Generation
from services.catalog.tables.rebuild import Rebuild
from services.photos import keys
from services.photos.store import PhotoStore
from tests.integration.catalog import rows
from tests.integration.serving import Serving
from tests.stack import Stack
from tests.waiting import eventually
from workers.faces.detect import Mode, largest_central
from workers.models.registry import Registry
from workers.serving.readying import Readying
from workers.serving.vectors import vectors_of

pytestmark = pytest.mark.slow


@pytest.fixture
def serving(
    catalog: Catalog,
    with_models: PhotoStore,
    valkey: str,
    servers: Stack,
    tmp_path: Path,
    default_models: Path,
    examples: Path,
) -> Serving:
    """Four people in one generation, of whose searches the last three are kept while a rebuild is under way."""
    settings = servers.photo_settings()
    return Serving(catalog, with_models, valkey, settings, tmp_path, default_models, examples, shadow_queries=3)


class Worker:
    """An interactive worker, as far as its readiness is concerned."""

    def __init__(self, serving: Serving, *, keeps: bool = False) -> None:
        self._serving = serving
        self.opened = 0
        self.registry: Registry = serving.opened()
        self.registry.pipeline(self.registry.active(), None)
        self._readying = Readying(serving.catalog, self.registry, serving.shadows, keeps=keeps, opened=self._has_opened)
        self.ready()

    def ready(self) -> bool:
        """As its thread does every few seconds; what it says goes into the catalog."""
        changed = self._readying.ready()
        with self._serving.catalog.transaction() as session:
            processes.beat(
                session,
                "interactive@here:1",
                kind="interactive",
                host="here",
                pid=1,
                details=self._readying.described(),
            )
        return changed

    def names(self) -> list[str]:
        """What it has open."""
        with self._serving.catalog.reading() as session:
            told = self._readying.described()["embedders"]
            return sorted(models.by_digest(session, embedder["model"]).name for embedder in told)

    @property
    def trouble(self) -> Sequence[str]:
        """What it could not open."""
        found: Sequence[str] = self._readying.described()["trouble"]
        return found

    def _has_opened(self) -> None:
        self.opened += 1


def unready(serving: Serving, generation: int) -> list[str]:
    with serving.catalog.reading() as session:
        return readiness.unready(session, session.get_one(Generation, generation))


def rebuild_of(serving: Serving, generation: int) -> int:
    """A rebuild under way that makes a generation."""
    with serving.catalog.transaction() as session:
        made = generations.by_id(session, generation)
        model = models.by_id(session, made.model_id)
        rebuild = rebuilds.create(session, rows.gallery(session), model, None, {}, by="test")
        rebuild.generation_id, rebuild.state = generation, "embedding"
        return rebuild.id


def test_a_model_is_open_before_a_switch_may_ask_for_it_and_closed_when_it_is_dropped(serving: Serving) -> None:
    worker = Worker(serving)
    made = serving.begin(serving.other_model())
    serving.embed(made)
    assert (worker.ready(), worker.names()) == (False, ["casia-webface"])  # Nobody searches in what is being built.
    assert unready(serving, made) == ["interactive@here:1"]

    serving.prepare(made)
    changed = worker.ready()

    assert (changed, worker.names(), worker.opened) == (True, ["casia-webface", "other"], 1)
    assert unready(serving, made) == []
    assert worker.ready() is False
    with serving.catalog.transaction() as session:
        generations.drop(session, generations.by_id(session, made))
    assert (worker.ready(), worker.names()) == (True, ["casia-webface"])


def test_a_model_that_cannot_be_opened_is_told_of_and_keeps_nobody_from_searching(
    serving: Serving, with_models: PhotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(serving)
    made = serving.another()
    digest = serving.digest_of(made)
    held = {stored.key: with_models.get(stored.key) for stored in with_models.list(keys.model_file(digest, "x")[:-1])}
    serving.forget_copies(digest)
    with_models.delete_many(list(held))

    worker.ready()

    [trouble] = worker.trouble
    assert trouble.startswith("other cannot be opened: ")
    assert unready(serving, made) == ["interactive@here:1"]
    [told] = [p for p in serving.ask("GET", "/v1/status")["processes"] if p["kind"] == "interactive"]
    assert told["trouble"] == [trouble]
    with serving.searching(), serving.looking():
        assert serving.search_photo()["model"] == serving.digest_of(serving.before)
    for key, content in held.items():
        with_models.put(key, content)
    monkeypatch.setattr("workers.serving.readying._AGAIN_S", 0.0)
    worker.ready()
    assert (worker.trouble, unready(serving, made)) == ([], [])


def test_the_last_queries_are_kept_under_both_models_until_the_rebuild_ends(serving: Serving) -> None:
    made = serving.begin(serving.other_model())
    worker = Worker(serving, keeps=True)
    assert worker.names() == ["casia-webface", "other"]  # Though it is being built.
    serving.registry = worker.registry
    with serving.searching(), serving.looking():
        serving.search_photo()
        assert serving.shadows.read(1, made) == []  # No rebuild is under way: nobody compares.
        rebuild = rebuild_of(serving, made)
        answers = [serving.search_photo() for _ in range(4)]
        eventually(lambda: len(serving.shadows.read(1, made)) == 3)

    pipelines = [worker.registry.pipeline(serving.digest_of(each), None) for each in (serving.before, made)]
    reading = pipelines[0].read(serving.query, Mode.BALANCED)
    chosen = largest_central(reading.detections, reading.width, reading.height)
    before, after = (pipeline.embed([reading.face(chosen).chip])[0] for pipeline in pipelines)
    for pair in serving.shadows.read(1, made):
        np.testing.assert_allclose(vectors_of([pair.before], 512)[0], before, atol=1e-5)
        np.testing.assert_allclose(vectors_of([pair.after], 128)[0], after, atol=1e-5)
    assert {answer["model"] for answer in answers} == {serving.digest_of(serving.before)}
    worker.ready()
    assert len(serving.shadows.read(1, made)) == 3
    with serving.catalog.transaction() as session:
        session.get_one(Rebuild, rebuild).state = "cancelled"
    worker.ready()
    assert serving.shadows.read(1, made) == []


def test_a_shadow_that_cannot_be_kept_costs_no_search(serving: Serving) -> None:
    made = serving.begin(serving.other_model())
    rebuild_of(serving, made)
    with serving.searching(), serving.looking():  # The worker has not opened the other model.
        first = serving.search_photo()
        second = serving.search_photo()

    assert first["faces"][0]["matches"] == second["faces"][0]["matches"]
    assert serving.shadows.read(1, made) == list[Pair]()
