"""A rebuild whose processes are killed at any moment ends as one that nobody disturbed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog import generations
from services.catalog.engine import Catalog
from services.catalog.rebuilding import chunks
from services.catalog.schema import Collection, Embedding, Face, Generation, LogEntry, Person
from services.catalog.tables.rebuild import Chunk, Rebuild
from services.photos.store import PhotoStore
from tests import nets
from tests.integration.rebuilding import Gallery, bundles
from tests.service import Service
from tests.stack import Stack
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PARTS = ["enrol,bulk,rebuild", "workers.searcher", "gunicorn", "valkey-server", "weed"]
"""Workers, searcher, gateway, broker and S3 server: what their command lines have in them."""
KILLS = 20 if os.environ.get("COLEGA_SOAK") else 3
SEED = int(os.environ.get("COLEGA_SEED", "10"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the models ``old`` and ``new`` in it."""
    folder = tmp_path_factory.mktemp("rebuilt")
    (folder / "models").mkdir()
    bundles(folder / "models")
    return folder


@pytest.fixture
def gallery(
    catalog: Catalog, photo_store: PhotoStore, valkey: str, data: Path, examples: Path, tmp_path: Path
) -> Gallery:
    """Twenty photos of four people, of which a worker is given one at a time."""
    opened = Gallery.opened(catalog, photo_store, valkey, data / "models", chunk=1)
    opened.enrol(varied(examples, tmp_path / "photos", 4))
    return opened


class Workers:
    """Real workers on a rebuild of *gallery*."""

    def __init__(self, gallery: Gallery, servers: Stack, broker_url: str, data: Path) -> None:
        self.gallery = gallery
        self._environment = {
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "COLEGA_DATA": str(data),
            "COLEGA_CATALOG_URL": gallery.catalog.url.render_as_string(hide_password=False),
            "COLEGA_BROKER_URL": broker_url,
            **servers.photo_settings(),
        }

    def start(self, rebuild: int, *, die_at: str = "never") -> "subprocess.Popen[bytes]":
        """One worker."""
        command = [sys.executable, "-m", "tests.crash.rebuilding", die_at, str(rebuild)]
        return subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self, rebuild: int) -> None:
        """Conduct, and have one worker do what is left."""
        while self.gallery.state(rebuild) == "embedding":
            self.gallery.conduct()  # Claims of the dead are free again.
            self.gallery.work(rebuild)
        assert self.gallery.state(rebuild) == "comparing", self.gallery.error(rebuild)


@pytest.fixture
def workers(gallery: Gallery, servers: Stack, valkey: str, data: Path) -> Workers:
    """Workers that may be killed."""
    return Workers(gallery, servers, valkey, data)


@pytest.mark.parametrize(
    ("source", "moment"),
    [("chips", "claimed"), ("chips", "embedded"), ("chips", "committed"), ("raw", "chips stored")],
)
def test_a_worker_killed_at_any_moment_loses_and_doubles_no_face(workers: Workers, source: str, moment: str) -> None:
    gallery = workers.gallery
    rebuild = gallery.begin(source=source)
    gallery.conduct()

    worker = workers.start(rebuild, die_at=moment)
    assert worker.wait(120) == -signal.SIGKILL
    workers.finish(rebuild)

    assert gallery.faces(gallery.made(rebuild)) == gallery.faces()
    assert gallery.log()[-2:] == ["add", "prepare"]


def test_two_workers_killed_again_and_again_end_as_one_that_was_not(workers: Workers) -> None:
    gallery, chance = workers.gallery, random.Random(SEED)
    undisturbed = gallery.begin()
    gallery.embed(undisturbed)
    wanted = gallery.vectors(gallery.made(undisturbed))
    gallery.drop(undisturbed)
    rebuild = gallery.begin()
    gallery.conduct()

    for _ in range(4):
        running = [workers.start(rebuild) for _ in range(2)]
        wait_for_claims(gallery.catalog, running)
        time.sleep(chance.uniform(0, 0.1))  # Chance says where they are, not that they are there.
        for worker in running:
            worker.kill()
            worker.wait(30)
        gallery.conduct()
    workers.finish(rebuild)

    found = gallery.vectors(gallery.made(rebuild))
    assert found.keys() == wanted.keys()
    assert min(cosine(found[face], wanted[face]) for face in wanted) > 0.9999
    assert gallery.faces(gallery.made(rebuild)) == gallery.faces()


@pytest.mark.timeout(900)
def test_a_service_whose_parts_are_killed_at_random_rebuilds_as_one_that_is_left_alone(
    tmp_path: Path, examples: Path
) -> None:
    photos = tmp_path / "photos"
    varied(examples, photos, 4 if KILLS < 20 else 24)
    net, described = tmp_path / "net.onnx", tmp_path / "net.yaml"
    net.write_bytes(nets.embedder(seed=7).SerializeToString())
    described.write_text(nets.described(), "utf-8")
    with Service(tmp_path / "data", workers=2, environment={"COLEGA_CHUNK": "2"}) as service:
        service.start("--photos", str(photos))
        told = service.colega("models", "add", str(net), "--name", "new", "--describe", str(described))
        assert told.returncode == 0, told.stderr
        alone = rebuilt(service, kills=0)
        disturbed = rebuilt(service, kills=KILLS)

    assert disturbed.faces == alone.faces
    assert disturbed.log == alone.log
    assert disturbed.vectors.keys() == alone.vectors.keys()
    assert min(cosine(disturbed.vectors[face], vector) for face, vector in alone.vectors.items()) > 0.9999


class Ended(NamedTuple):
    """What a rebuild has come to."""

    faces: list[tuple[object, ...]]
    """Id, person, who assigned it, rule and box of every face of the new round that has a chip."""
    log: list[str]
    """What was logged by it."""
    vectors: dict[str, bytes]


def rebuilt(service: Service, *, kills: int) -> Ended:
    """Rebuild the collection of *service* from raw photos, kill that many of its processes meanwhile, and cancel it at the end."""
    catalog, chance = Catalog(f"sqlite:///{service.data}/catalog/catalog.sqlite"), random.Random(SEED)
    with catalog.reading() as session:
        head = session.scalars(select(Collection.head)).one()
    body = {"model": "new", "source": "raw", "switch": "manual"}
    with service.client() as client:
        rebuild = client.post("/v1/rebuilds", json=body).json()["rebuild"]
    eventually(lambda: state_of(catalog, rebuild) != "planning", 120)
    for _ in range(kills):
        time.sleep(chance.uniform(0.1, 1.0))  # Chance says where they are.
        part = chance.choice(PARTS)
        kill_one(service, part, chance)
        if chance.random() < 0.5:
            wait_for_progress(catalog, rebuild)
    eventually(lambda: state_of(catalog, rebuild) not in {"planning", "embedding", "comparing"}, 240)
    assert state_of(catalog, rebuild) in {"ready", "stopped"}, error_of(catalog, rebuild)
    with catalog.reading() as session:
        row = session.scalars(select(Rebuild).where(Rebuild.public_id == rebuild)).one()
        made = session.get_one(Generation, row.generation_id)
        ended = Ended(_faces(session, made), _log(session, head), _vectors(session, made))
        assert generations.prove(session, made).holds
    eventually(lambda: answers(service, f"/v1/rebuilds/{rebuild}/cancel"), 120)
    catalog.close()
    return ended


def kill_one(service: Service, part: str, chance: random.Random) -> None:
    """SIGKILL to one of the processes that are that part; where there is none, when it was started again."""
    eventually(lambda: any(part in each.command for each in service.processes()), 120)
    os.kill(chance.choice([each.pid for each in service.processes() if part in each.command]), signal.SIGKILL)


def wait_for_progress(catalog: Catalog, rebuild: str) -> None:
    """Until one more chunk has ended, where there are any."""
    before = left_of(catalog, rebuild)
    eventually(lambda: not before or left_of(catalog, rebuild) < before, 120)


def answers(service: Service, path: str) -> bool:
    """Whether a POST there is answered well; the gateway may be starting again."""
    with service.client() as client, contextlib.suppress(httpx.HTTPError):
        return client.post(path).status_code == 200
    return False


def state_of(catalog: Catalog, rebuild: str) -> str:
    """A rebuild's state."""
    with catalog.reading() as session:
        return session.scalars(select(Rebuild.state).where(Rebuild.public_id == rebuild)).one()


def left_of(catalog: Catalog, rebuild: str) -> int:
    """How many of its chunks have not ended."""
    with catalog.reading() as session:
        number = session.scalars(select(Rebuild.id).where(Rebuild.public_id == rebuild)).one()
        return chunks.left(session, number)


def error_of(catalog: Catalog, rebuild: str) -> str | None:
    """Why it failed."""
    with catalog.reading() as session:
        return session.scalars(select(Rebuild.error).where(Rebuild.public_id == rebuild)).one()


def varied(examples: Path, folder: Path, times: int) -> list[Path]:
    """Every photo of ``examples/people`` in *folder*, stored that many times at different quality."""
    made = []
    for photo in sorted((examples / "people").rglob("*.jpg")):
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        for n in range(times):
            made.append(folder / photo.parent.name / f"{photo.stem}-{n}.jpg")
            with Image.open(photo) as picture:
                picture.convert("RGB").save(made[-1], "JPEG", quality=95 - n)
    return made


def wait_for_claims(catalog: Catalog, running: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Until one of the workers has claimed a chunk, or all have ended."""

    def is_claimed() -> bool:
        with catalog.reading() as session:
            claimed = session.scalar(select(Chunk.id).where(Chunk.claim.is_not(None)).limit(1))
        return claimed is not None or all(worker.poll() is not None for worker in running)

    eventually(is_claimed, 120)


def cosine(a: bytes, b: bytes) -> float:
    """Of two stored vectors."""
    x, y = (np.frombuffer(vector, "<f2").astype(np.float64) for vector in (a, b))
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def _faces(session: Session, made: Generation) -> list[tuple[object, ...]]:
    columns = (Face.public_id, Person.name, Face.assigned_by, Face.rule)
    mine = select(*columns, Face.box).outerjoin(Person, Person.id == Face.person_id).where(Face.round == made.round)
    rows = session.execute(mine.where(Face.chip_key.is_not(None)).order_by(Face.public_id))
    return [(*row[:4], tuple(row[4])) for row in rows]


def _log(session: Session, after: int) -> list[str]:
    mine = select(LogEntry.operation).where(LogEntry.sequence > after)
    return list(session.scalars(mine.order_by(LogEntry.sequence)))


def _vectors(session: Session, made: Generation) -> dict[str, bytes]:
    rows = session.execute(
        select(Face.public_id, Embedding.vector)
        .join(Embedding, (Embedding.face_id == Face.id) & (Embedding.model_id == made.model_id))
        .where(Face.round == made.round)
    )
    return dict(rows.all())
