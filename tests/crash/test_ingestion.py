"""A worker killed at any moment loses and doubles no face."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from services import formats, intake
from services.catalog import collections, models, people
from services.catalog.engine import Catalog
from services.catalog.importing import claims, jobs
from services.catalog.schema import Embedding, Face, Item, LogEntry, Person, Photo
from services.intake import Upload
from services.labels import Label
from services.photos.store import PhotoStore
from tests import default_model, vaults
from tests.stack import Stack
from workers.models import casia_webface

pytestmark = pytest.mark.slow

MOMENTS = ["claimed", "embedded", "chips stored", "committed"]


@pytest.fixture(scope="session")
def models_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the default model in it."""
    folder = tmp_path_factory.mktemp("with-models")
    default_model.put(folder / "models")
    return folder


@pytest.fixture
def catalog(catalog_url: str, models_at: Path) -> Iterator[Catalog]:
    """A catalog with that model active."""
    catalog = Catalog(catalog_url)
    bundle = casia_webface.build(models_at / "models" / "casia-webface")
    with catalog.transaction() as session:
        model = models.register(
            session,
            kind="embedder",
            name=bundle.name,
            digest=bundle.digest,
            state="candidate",
            dimension=bundle.dimension,
        )
        models.activate(session, model)
    yield catalog
    catalog.close()


class Ingest:
    """Photos taken in, and workers that may die over them."""

    def __init__(self, catalog: Catalog, store: PhotoStore, stack: Stack, broker_url: str, data: Path) -> None:
        self.catalog = catalog
        self._store = vaults.sealed(store, catalog)
        self._environment = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "COLEGA_DATA": str(data),
            "COLEGA_CATALOG_URL": catalog.url.render_as_string(hide_password=False),
            "COLEGA_BROKER_URL": broker_url,
            **stack.photo_settings(),
        }

    def take(self, photos: Sequence[Path]) -> list[int]:
        """Take photos in, each as its folder's person; the items."""
        with self.catalog.transaction() as session:
            collection = collections.by_name(session, "default")
            job = jobs.create(session, collection.id, kind="import", queue="bulk", closed=False)
        items = []
        for path in photos:
            data = path.read_bytes()
            upload = Upload(str(path), path, len(data), hashlib.sha256(data).hexdigest(), data[: formats.HEAD_BYTES])
            [taken] = intake.take(self.catalog, self._store, job.id, [upload], [Label(path.parent.name)])
            assert taken.item_id is not None
            items.append(taken.item_id)
        return items

    def work(self, items: Sequence[int], *, die_at: str = "never") -> int:
        """One worker; how it ended."""
        command = [sys.executable, "-m", "tests.crash.dying", die_at, *map(str, items)]
        done = subprocess.run(command, env=self._environment, check=False, capture_output=True, timeout=120)
        assert done.returncode in {0, -9}, done.stderr.decode()
        return done.returncode

    def claims_expire(self) -> None:
        """As a minute without the worker does."""
        with self.catalog.transaction() as session:
            session.execute(update(Item).where(Item.claim.is_not(None)).values(claim_expires_at=0.0))

    def state(self) -> dict[str, object]:
        """Everything that must be the same however often a worker died."""
        with self.catalog.reading() as session:
            faces = session.execute(
                select(Photo.source_name, Person.name)
                .join(Face, Face.photo_id == Photo.id)
                .join(Person, Person.id == Face.person_id)
                .order_by(Photo.source_name)
            ).all()
            return {
                "items": sorted(session.scalars(select(Item.state))),
                "faces": [tuple(row) for row in faces],
                "embeddings": session.scalar(select(func.count()).select_from(Embedding)),
                "log": session.scalars(select(LogEntry.operation).order_by(LogEntry.sequence)).all(),
                "chips": all(self._store.exists(key) for key in session.scalars(select(Face.chip_key)) if key),
            }


@pytest.fixture
def ingest(catalog: Catalog, photo_store: PhotoStore, servers: Stack, valkey: str, models_at: Path) -> Ingest:
    """Real parts, empty."""
    return Ingest(catalog, photo_store, servers, valkey, models_at)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_killed_at_any_moment_loses_and_doubles_no_face(ingest: Ingest, examples: Path, moment: str) -> None:
    photos = sorted((examples / "people").rglob("*.jpg"))[:4]
    items = ingest.take(photos)

    assert ingest.work(items, die_at=moment) == -9
    ingest.claims_expire()
    ingest.work(items)

    assert ingest.state() == {
        "items": ["done"] * 4,
        "faces": [(str(photo), photo.parent.name) for photo in photos],
        "embeddings": 4,
        "log": ["add"] * 4,
        "chips": True,
    }


def test_a_worker_that_comes_back_after_its_claim_changes_nothing(ingest: Ingest, examples: Path) -> None:
    [item] = ingest.take([examples / "people" / "Joe Biden" / "1.jpg"])
    with ingest.catalog.transaction() as session:
        [slow] = claims.claim(session, [item], by="elsewhere:1", lease_s=60).work
    ingest.claims_expire()
    ingest.work([item])

    with ingest.catalog.transaction() as session:
        assert not claims.finish(session, [(slow, claims.Outcome("done"))])
    assert ingest.state()["log"] == ["add"]


def test_a_killer_photo_ends_alone_and_takes_no_neighbour_along(ingest: Ingest, examples: Path) -> None:
    good = ingest.take(sorted((examples / "people").rglob("*.jpg"))[:3])
    [killer] = ingest.take([examples / "queries" / "one.jpg"])

    ingest.work([*good, killer], die_at="claimed")  # The chunk dies; everything of it was tried once, together.
    for _ in range(claims.ALONE_AT_MOST):
        ingest.claims_expire()
        assert ingest.work([killer], die_at="claimed") == -9
    ingest.claims_expire()
    ingest.work([*good, killer])
    ingest.work([killer])

    with ingest.catalog.reading() as session:
        ends = {i.id: (i.state, i.reason) for i in session.scalars(select(Item))}
    assert ends == {**dict.fromkeys(good, ("done", None)), killer: ("rejected", "crashed_worker")}


def test_a_person_erased_while_their_photo_is_worked_on_stays_erased(ingest: Ingest, examples: Path) -> None:
    [item] = ingest.take([examples / "people" / "Joe Biden" / "1.jpg"])
    assert ingest.work([item], die_at="chips stored") == -9
    with ingest.catalog.transaction() as session:
        collection = collections.by_name(session, "default")
        people.delete(session, people.by_name(session, collection.id, "Joe Biden")[0])
    ingest.claims_expire()

    ingest.work([item])

    with ingest.catalog.reading() as session:
        assert session.scalar(select(func.count()).select_from(Face)) == 0
        assert session.get_one(Item, item).reason == "person_erased"
