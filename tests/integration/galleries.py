"""A catalog with several collections, and a searcher's replicas of them."""

from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from index.engine.sealing import SealingHere
from index.replica import Replica
from services.catalog import collections, generations, models, people
from services.catalog.engine import Catalog
from services.catalog.running import held
from services.catalog.schema import Collection, Embedding, Face, Photo, new_id
from tests.crash.following import home
from tests.integration.catalog import rows
from tests.unit.index.arrays import D, unit_vectors
from tests.waiting import eventually
from workers.serving.following import CatalogLog
from workers.serving.replicas import Keeping, Replicas


class Galleries:
    """A catalog with several collections, and a searcher's replicas of them."""

    def __init__(self, catalog: Catalog, root: Path, keeping: Keeping) -> None:
        self.catalog = catalog
        self.root = root
        self.log = CatalogLog(catalog)
        self.sealer = SealingHere()
        self._opened: list[Replicas] = []
        (root / "shelf").mkdir()
        with catalog.transaction() as session:
            model = rows.model(session)
            model.dimension = D
            models.activate(session, model)
            self.model = model.id
        self.replicas = self.opened(keeping)

    def opened(self, keeping: Keeping) -> Replicas:
        """A searcher that starts."""
        made = Replicas(
            self.log, lambda c, g: home(self.root / f"{c}-g{g}", self.root / "shelf", sealer=self.sealer), keeping
        )
        self._opened.append(made)
        return made

    def close(self) -> None:
        """Wait for what is being loaded and written."""
        for each in self._opened:
            each.close()

    def gallery(self, name: str, count: int = 3) -> int:
        """A new collection with some faces."""
        with self.catalog.transaction() as session:
            collection = collections.create(session, name)
            for n in range(count):
                self.face(session, collection, n)
            return collection.id

    def face(self, session: Session, collection: Collection, number: int, vector: bytes | None = None) -> int:
        """One more face of somebody."""
        person = people.ensure(session, collection.id, f"Person {number % 7}")
        public = new_id("pho")
        photo = Photo(
            public_id=public,
            collection_id=collection.id,
            sha256=public.ljust(64, "0")[:64],
            size_bytes=1,
            format="JPEG",
            source_name="x.jpg",
            object_key=public,
        )
        session.add(photo)
        session.flush()
        face = rows.face(session, photo, person)
        held = unit_vectors(1, number)[0].astype("<f2").tobytes() if vector is None else vector
        session.add(Embedding(face_id=face.id, model_id=self.model, vector=held, variant="fp32"))
        return face.id

    def active(self, collection: int) -> int:
        """What a collection is searched in; 1 of one that is gone."""
        with self.catalog.reading() as session:
            found = session.get(Collection, collection)
            return 1 if found is None or found.generation_id is None else found.generation_id

    def get(self, collection: int) -> Replica | None:
        """As a search does."""
        return self.replicas.get(collection, self.active(collection))

    def use(self, collection: int) -> None:
        """Ask for it until it is there."""

        def there() -> bool:
            self.replicas.follow(self.log.heads())
            return self.get(collection) is not None

        eventually(there)

    def another(self, collection: int) -> int:
        """Another generation of a collection, whole and prepared: its vectors are the first one's, turned round."""
        with self.catalog.transaction() as session:
            model = rows.model(session)
            model.dimension = D
            made = generations.begin(session, collection, model.id, None, round_=0)
            for face in session.query(Face).filter(Face.collection_id == collection):
                old = np.frombuffer(session.get_one(Embedding, (face.id, self.model)).vector, "<f2")
                session.add(Embedding(face_id=face.id, model_id=model.id, vector=old[::-1].tobytes(), variant="fp32"))
            session.flush()
            generations.prepare(session, made)
            return made.id

    def kept(self) -> set[tuple[int, int]]:
        """Collections and generations that there are to be searched."""
        with self.catalog.reading() as session:
            return {each.key for each in held.searched(session, pinned=set())}

    def pinned(self) -> set[tuple[int, int]]:
        """Those of them that are held from the start on."""
        with self.catalog.reading() as session:
            return {each.key for each in held.searched(session, pinned=set()) if each.is_pinned}

    def followed(self) -> set[int]:
        """The generations in memory, after a turn."""
        self.replicas.follow(self.log.heads())
        return {generation for _, generation in self.replicas.here}

    def held(self) -> set[int]:
        """Which collections are in memory."""
        return {row["collection"] for row in self.replicas.described(self.log.heads())}
