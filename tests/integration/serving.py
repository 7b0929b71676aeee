"""A collection in two generations, and what answers searches of it: gateway, interactive worker and searchers, each real.

The gateway and the worker are in this process, so that a test says when each of them goes on; searchers are processes.
"""

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from sqlalchemy.orm import Session

from services.broker import names
from services.broker.app import celery_app
from services.broker.requests import Answering, Ask, Asking
from services.broker.send import Queue
from services.broker.shadows import Shadows
from services.broker.waking import Waking
from services.catalog import calibrations, generations, keys, models, people
from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Embedding, Face, Generation, Model
from services.gateway.app import create_app
from services.gateway.doors import Gateway
from services.photos.store import PhotoStore
from services.settings.service import GatewaySettings, Limits
from tests import nets, vaults
from tests.integration.catalog import rows
from workers import looking
from workers.faces.detect import Mode
from workers.faces.values import Chip
from workers.models import describing, foreign_bundle
from workers.models.registry import Registry, share
from workers.tasks.prepare import prepare

Answer = Mapping[str, Any]


class Serving:
    """The people of ``examples/`` in the default collection under the default model, and what can be asked about them.

    Args:
        catalog: An empty one at the present schema.
        store: An empty one.
        broker_url: Of an empty broker.
        settings: By which a process of ours reaches the photo store.
        folder: For everything else.
        models_folder: Where models are opened; one with the default model in it saves making it.
        examples: The photos.
        shadow_queries: How many queries are kept while a rebuild is under way.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: PhotoStore,
        broker_url: str,
        settings: Mapping[str, str],
        folder: Path,
        models_folder: Path,
        examples: Path,
        *,
        shadow_queries: int = 0,
    ) -> None:
        self.catalog, self.store, self.broker_url = catalog, store, broker_url
        self._settings, self._folder, self._models = settings, folder, models_folder
        self.query = (examples / "queries" / "one.jpg").read_bytes()
        prepare(catalog, store, models_folder)
        self.registry = self.opened()
        self.shadows = Shadows(broker_url)
        self.chips: dict[str, Chip] = {}
        """The chip of each face, by public id."""
        with catalog.transaction() as session:
            gallery = rows.gallery(session)
            assert gallery.generation_id is not None
            self.before = gallery.generation_id
            self._enrol(session, gallery, examples)
            _, secret = keys.issue(session, "test", ["admin"])
        self._app = create_app(self._gateway(shadow_queries)).test_client()
        self._headers = {"Authorization": f"Bearer {secret}"}

    def opened(self) -> Registry:
        """Models as another process sees them."""
        return Registry(self.catalog, self.store, self._models, max_pixels=10**8)

    def other_model(self) -> str:
        """Bring another model; its digest."""
        bundle = foreign_bundle.write(
            self._folder / "other",
            nets.embedder().SerializeToString(),
            describing.parse(nets.described()),
            name="other",
            licence="Apache-2.0",
            provenance={"source": "here"},
        )
        share(bundle, self.store)
        with self.catalog.transaction() as session:
            models.register_embedder(session, bundle.description)
        return bundle.digest

    def forget_copies(self, digest: str) -> None:
        """Remove what this machine has of a model, open or not."""
        shutil.rmtree(self._models / digest)
        self.registry = self.opened()

    def begin(self, digest: str, *, new_round: bool = False) -> int:
        """Begin another generation under that model, with new rows of all faces where it is another round's."""
        with self.catalog.transaction() as session:
            gallery = rows.gallery(session)
            model = models.by_digest(session, digest)
            made = generations.begin(session, gallery.id, model.id, None, round_=gallery.round + new_round)
            if new_round:
                for face in session.query(Face).filter(Face.round == gallery.round).order_by(Face.id.desc()):
                    self._again(session, face, made)
            return made.id

    def embed(self, number: int) -> None:
        """Embed all faces of a generation."""
        with self.catalog.transaction() as session:
            generation = generations.by_id(session, number)
            model = session.get_one(Model, generation.model_id)
            for face in session.query(Face).filter(Face.round == generation.round).order_by(Face.id):
                self._embed(session, face, model)

    def prepare(self, number: int) -> None:
        """Declare it complete."""
        with self.catalog.transaction() as session:
            generations.prepare(session, generations.by_id(session, number))

    def another(self, *, new_round: bool = False) -> int:
        """Another model's generation, whole and prepared."""
        made = self.begin(self.other_model(), new_round=new_round)
        self.embed(made)
        self.prepare(made)
        return made

    def switch(self, number: int) -> None:
        """Have searches look in a generation from now on."""
        with self.catalog.transaction() as session:
            generations.switch(session, generations.by_id(session, number))

    def digest_of(self, number: int) -> str:
        """Of a generation's model."""
        with self.catalog.reading() as session:
            return models.by_id(session, generations.by_id(session, number).model_id).digest

    def calibrate(self, number: int, curves: Mapping[str, Any]) -> None:
        """Give a generation a calibration that nobody fitted."""
        with self.catalog.transaction() as session:
            generation = generations.by_id(session, number)
            gallery = session.get_one(Collection, generation.collection_id)
            of_it = {"epoch": gallery.epoch, **curves}
            calibrations.keep(session, generation, sequence=gallery.head, people=4, faces=5, curves=of_it)

    def ask(self, method: str, path: str, **body: Any) -> Answer:
        """What the gateway answers; a problem fails the test."""
        answer = self._app.application.test_client().open(path, method=method, headers=self._headers, **body)
        told: dict[str, Any] = answer.get_json()
        assert answer.status_code == 200, told
        return told

    def search_face(self, face: str) -> Answer:
        """The nearest people of a kept face."""
        return self.ask("POST", "/v1/search?threshold=0.99", json={"face_id": face})

    def search_photo(self) -> Answer:
        """Who is in the first query of the examples."""
        photo = (io.BytesIO(self.query), "photo.jpg")
        return self.ask("POST", "/v1/search?threshold=0.99", data={"photo": photo})

    @contextmanager
    def searching(self, count: int = 1) -> "Iterator[list[subprocess.Popen[bytes]]]":
        """Searchers, each a process of its own."""
        settings = {
            "COLEGA_DATA": str(self._folder / "data"),
            "COLEGA_CATALOG_URL": self.catalog.url.render_as_string(hide_password=False),
            "COLEGA_BROKER_URL": self.broker_url,
            "PATH": os.environ["PATH"],
            **self._settings,
        }
        command = [sys.executable, "-m", "workers.searcher"]
        started = [subprocess.Popen(command, env=settings) for _ in range(count)]
        try:
            yield started
        finally:
            for each in started:
                each.terminate()
            for each in started:
                each.wait(30)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """An interactive worker, taking Celery's messages as kombu laid them there."""
        ended = threading.Event()

        def run() -> None:
            answering = Answering(self.broker_url)
            app = celery_app(self.broker_url)
            with app.connection_for_read() as connection, connection.SimpleQueue(names.INTERACTIVE) as queue:
                while not ended.is_set():
                    try:
                        message = queue.get(block=True, timeout=0.2)
                    except queue.Empty:
                        continue
                    message.ack()
                    looking.look(Ask.of_json(message.payload[0][0]), answering, self.registry, self.shadows)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def waiting(self, at: str) -> int:
        """How many messages lie in one list of the broker."""
        with redis.Redis.from_url(self.broker_url) as connection:
            return int(connection.llen(at))

    def _enrol(self, session: Session, gallery: Collection, examples: Path) -> None:
        pipeline = self.registry.pipeline(self.registry.active(), None)
        model = models.by_digest(session, pipeline.embedder.digest)
        for path in sorted((examples / "people").rglob("*.jpg")):
            person = people.ensure(session, gallery.id, path.parent.name)
            face = rows.face(session, rows.photo(session, str(path)), person)
            self.chips[face.public_id] = pipeline.read(path.read_bytes(), Mode.BALANCED).face(0).chip
            self._embed(session, face, model)

    def _embed(self, session: Session, face: Face, model: Model) -> None:
        [vector] = self.registry.pipeline(model.digest, None).embed([self.chips[face.public_id]])
        held = vector.astype("<f2").tobytes()
        session.add(Embedding(face_id=face.id, model_id=model.id, vector=held, variant="fp32"))
        session.flush()

    def _again(self, session: Session, face: Face, of: Generation) -> None:
        session.add(
            Face(
                public_id=face.public_id,
                collection_id=face.collection_id,
                photo_id=face.photo_id,
                round=of.round,
                person_id=face.person_id,
                rule=face.rule,
                box=face.box,
                score=face.score,
                chip_key=face.chip_key,
            )
        )
        session.flush()

    def _gateway(self, shadow_queries: int) -> Gateway:
        celery = celery_app(self.broker_url)
        spool = self._folder / "spool"
        spool.mkdir()
        return Gateway(
            catalog=self.catalog,
            store=vaults.sealed(self.store, self.catalog),
            probe=self.store,
            queue=Queue(self.broker_url, celery),
            asking=Asking(self.broker_url, celery),
            waking=Waking(self.broker_url),
            limits=Limits(search_timeout_s=60.0, shadow_queries=shadow_queries),
            settings=GatewaySettings(),
            data=self._folder,
            spool=spool,
        )


def people_of(answer: Answer) -> dict[str, float]:
    """How similar the people are who are listed for the first face of an answer, the most similar first."""
    return {match["person"]["name"]: match["similarity"] for match in answer["faces"][0]["matches"]}
