"""Killed at any moment, a searcher finds afterwards exactly what the catalog has."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from index.follower import Follower
from services.catalog import faces, log, people
from services.catalog.engine import Catalog
from services.catalog.schema import Embedding, Face, Person
from tests.crash.following import home
from tests.integration.catalog import rows
from tests.unit.index.arrays import D, unit_vectors
from workers.serving.following import CatalogLog

pytestmark = pytest.mark.slow

MOMENTS = [
    "rows written",
    "row buried",
    "merge begins",
    "merged vectors written",
    "merged codes written",
    "merge ended",
    "merge taken in",
    "state written",
    "manifest written",
    "predecessor removed",
    "snapshot written",
    "file uploaded",
    "snapshot uploaded",
    "followed",
]
KILLS = 150 if os.environ.get("COLEGA_SOAK") else 6


class Writing:
    """A catalog that faces come into and go from, and a searcher that follows it."""

    def __init__(self, catalog: Catalog, root: Path, seed: int = 1) -> None:
        self.catalog = catalog
        self.root = root
        self.random = random.Random(seed)
        self.origins: list[str] = []
        self._shelf = root / "shelf"
        self._shelf.mkdir(parents=True)
        self._count = 0
        with catalog.transaction() as session:
            model = rows.model(session)
            model.dimension = D
            generation = rows.generation(session, model)
            self.model, self.generation, self.collection = model.id, generation.id, generation.collection_id

    def write(self, times: int = 1) -> None:
        """Add, remove and assign faces, in some transactions."""
        for _ in range(times):
            with self.catalog.transaction() as session:
                held = session.scalars(select(Face.id).order_by(Face.id)).all()
                for _ in range(self.random.randint(1, 4)):
                    self._add(session)
                for face in self.random.sample(held, min(len(held), self.random.randint(0, 2))):
                    self._remove(session, face)
                if held:
                    row = session.get(Face, self.random.choice(held))
                    if row is not None:
                        row.person_id = self.random.choice([None, self._person(session)])
                        log.append(session, self.collection, [log.Change("assign", row.id, row.person_id)])

    @contextmanager
    def followed(self, moment: str, *, count: int = 1, sealing: str = "here") -> Iterator["subprocess.Popen[str]"]:
        """A process that follows until it dies, started; gone by SIGKILL at the latest when the block ends."""
        asked = {
            "url": self.catalog.url.render_as_string(hide_password=False),
            "folder": str(self.root),
            "shelf": str(self._shelf),
            "collection": self.collection,
            "generation": self.generation,
            "moment": moment,
            "count": count,
            "sealing": sealing,
        }
        command = [sys.executable, "-m", "tests.crash.following", json.dumps(asked)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield process
            finally:
                process.kill()

    def is_whole(self) -> None:
        """A searcher that starts now has exactly the catalog's faces, people and vectors, and finds each of them."""
        follower = Follower(
            CatalogLog(self.catalog),
            self.collection,
            self.generation,
            home(self.root / f"{self.collection}-g{self.generation}", self._shelf),
        )
        replica = follower.start()
        self.origins.append(follower.origin)
        with self.catalog.reading() as session:
            query = select(Face.id, func.coalesce(Face.person_id, 0), Embedding.vector)
            held = session.execute(query.join(Embedding, Embedding.face_id == Face.id).order_by(Face.id)).all()
            head = log.head(session, self.collection)
        assert replica is not None
        assert head is not None
        assert (replica.epoch, replica.sequence) == tuple(head)
        ids, persons = replica.owners.everything()
        assert list(zip(ids.tolist(), persons.tolist(), strict=True)) == [(face, person) for face, person, _ in held]
        assert len(replica.faces) == len(held)
        for _ in range(4):
            vectors = np.stack([np.frombuffer(vector, "<f2") for *_, vector in held]).astype(np.float32)
            np.testing.assert_array_equal(replica.faces.vectors(ids), vectors)
            assert replica.faces.search(vectors, 1).ids[:, 0].tolist() == ids.tolist()
            assert set(replica.faces.search(vectors[:1], len(held) + 9).ids[0].tolist()) - {-1} == set(ids.tolist())
            replica.settle()

    def _person(self, session: Session) -> int:
        person: Person = people.ensure(session, self.collection, f"Person {self.random.randint(1, 5)}")
        session.flush()
        return person.id

    def _add(self, session: Session) -> None:
        self._count += 1
        photo = rows.photo(session, f"photo {self._count}")
        person = session.get(Person, self._person(session))
        face = rows.face(session, photo, person)
        vector = unit_vectors(1, self._count)[0].astype("<f2").tobytes()
        session.add(Embedding(face_id=face.id, model_id=self.model, vector=vector, variant="fp32"))

    def _remove(self, session: Session, face: int) -> None:
        log.append(session, self.collection, faces.remove_rows(session, session.get_one(Face, face)))


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_named_moment_the_index_is_the_catalogs(catalog: Catalog, tmp_path: Path, moment: str) -> None:
    writing = Writing(catalog, tmp_path)
    writing.write(12)
    with writing.followed(moment, count=3) as process:
        ends = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < ends, "The moment was never reached."
            writing.write()

    assert process.returncode == -signal.SIGKILL
    writing.is_whole()


def test_killed_whenever_it_comes_the_index_is_the_catalogs(catalog: Catalog, tmp_path: Path) -> None:
    writing = Writing(catalog, tmp_path, seed=random.randrange(2**32) if KILLS > 10 else 7)
    writing.write(12)

    for _ in range(KILLS):
        with writing.followed("never", sealing=writing.random.choice(["here", "process"])):
            ends = time.monotonic() + writing.random.uniform(0.0, 1.0)
            while time.monotonic() < ends:
                writing.write()

        writing.is_whole()

    assert "snapshot" in writing.origins
