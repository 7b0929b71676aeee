"""A collection of real photos under a small model, and another model to rebuild it to: every part real, each step asked for."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services import formats, intake
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import computations, faces, models, people
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.rebuilding import chunks, findings, rebuilds
from services.catalog.schema import Collection, Embedding, Face, Generation, Item, Job, LogEntry, Model, Person, Photo
from services.catalog.tables.rebuild import Chunk, Finding, Rebuild
from services.intake import Upload
from services.labels import Label
from services.photos.store import PhotoStore
from tests import nets, vaults
from tests.integration.catalog import rows
from tests.integration.looking import looking
from workers import ingestion, rebuilding
from workers.faces import chips
from workers.faces.values import Chip, Vectors
from workers.ingestion import Tools
from workers.models import describing, foreign_bundle
from workers.models.bundle import Bundle
from workers.models.registry import DETECTOR_FILE, Registry
from workers.rebuild import planning

AGREES: dict[str, Any] = {
    "decides": {"after": {"threshold": 0.5, "why_not": None}},
    "accuracy": {"rank1": None, "tmr_at_fmr_1e-3": None},
    "not_said": {},
    "after": {"name": "new"},
}
"""What a comparison says where nothing speaks against the new model."""


def bundles(folder: Path) -> Path:
    """*folder* with two small models in it, ``old`` and ``new``, of 128 and 192 numbers."""
    for name, dimension, seed in (("old", 128, 1), ("new", 192, 2)):
        foreign_bundle.write(
            folder / name,
            nets.embedder(dimension, seed=seed).SerializeToString(),
            describing.parse(nets.described(dimension)),
            name=name,
            licence="Apache-2.0",
            provenance={},
        )
    return folder


@dataclass
class Gallery:
    """The default collection, worked on in this process by function calls."""

    tools: Tools
    queue: Queue

    @property
    def catalog(self) -> Catalog:
        """The truth."""
        return self.tools.catalog

    @classmethod
    def opened(cls, catalog: Catalog, store: PhotoStore, broker_url: str, folder: Path, *, chunk: int = 4) -> "Gallery":
        """An empty collection under the model ``old``; ``new`` is to be had."""
        registry = Registry(catalog, store, folder, max_pixels=50_000_000)
        registry._detectors[None] = looking()
        with catalog.transaction() as session:
            for name in ("new", "old"):
                models.activate(session, models.register_embedder(session, Bundle.open(folder / name).description))
        return cls(
            Tools(catalog, vaults.sealed(store, catalog), registry, Waking(broker_url)), Queue(broker_url, chunk=chunk)
        )

    def take(self, photos: Sequence[Path], *, faces: str = "largest", labelled: bool = True) -> list[int]:
        """Take photos in, each as its folder's person; the items."""
        with self.catalog.transaction() as session:
            job = jobs.create(session, rows.gallery(session).id, kind="import", queue="bulk", closed=False, faces=faces)
        items = []
        for path in photos:
            data = path.read_bytes()
            upload = Upload(str(path), path, len(data), hashlib.sha256(data).hexdigest(), data[: formats.HEAD_BYTES])
            label = Label(path.parent.name) if labelled else None
            [taken] = intake.take(self.catalog, self.tools.store, job.id, [upload], [label])
            assert taken.item_id is not None
            items.append(taken.item_id)
        return items

    def enrol(self, photos: Sequence[Path], **how: Any) -> None:
        """Make photos findable, each as its folder's person."""
        items = self.take(photos, **how)
        again = ingestion.ingest(items, self.tools)
        while again:
            again = ingestion.ingest(again, self.tools)
        with self.catalog.reading() as session:
            assert set(session.scalars(select(Item.state).where(Item.id.in_(items)))) == {"done"}

    def detector(self, path: Path) -> int:
        """Register a detector's file; its number."""
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        self.tools.store.put(f"models/{digest}/{DETECTOR_FILE}", content)
        self.tools.models._detectors[digest] = looking(path)
        with self.catalog.transaction() as session:
            return models.register(session, kind="detector", name=path.stem, digest=digest, state="candidate").id

    def ask(self, model: str = "new", *, detector_id: int | None = None, **parameters: Any) -> int:
        """Ask for a rebuild; its number."""
        with self.catalog.transaction() as session:
            wanted = session.scalars(select(Model).where(Model.name == model)).one()
            how = {"source": "auto", "switch": "manual", "skip_missing": False, **parameters}
            return rebuilds.create(session, rows.gallery(session), wanted, detector_id, how, by="test").id

    def begin(self, model: str = "new", **more: Any) -> int:
        """Ask for a rebuild, and have it planned; its number."""
        rebuild = self.ask(model, **more)
        planning.plan(rebuild, self.tools)
        return rebuild

    def conduct(self) -> None:
        """One look of whoever conducts."""
        rebuilding.conduct(self.catalog, self.queue, self.tools.waking)

    def work(self, rebuild: int, *, at_most: int = 1000, tools: Tools | None = None) -> int:
        """Work on chunks until there are none left. Returns how many there were."""
        done = 0
        while done < at_most and rebuilding.work(rebuild, tools or self.tools):
            done += 1
        return done

    def embed(self, rebuild: int) -> str:
        """Conduct and work until embedding is over; the state then."""
        while self.state(rebuild) == "embedding":
            self.conduct()
            self.work(rebuild)
        return self.state(rebuild)

    def compare(self, rebuild: int, found: dict[str, Any] | None = None) -> str:
        """End the comparison that was asked for, as a training worker does; the state after the next look."""
        self.conduct()
        with self.catalog.transaction() as session:
            row = session.get_one(Rebuild, rebuild)
            job = session.scalars(select(Job).where(Job.public_id == row.comparison_job)).one()
            held = computations.claim(session, job.id, by="here:1", lease_s=60)
            assert held is not None
            computations.finish(session, held, found or AGREES)
        self.conduct()
        return self.state(rebuild)

    def switch(self, rebuild: int) -> str:
        """Ask for the switch, and conduct."""
        with self.catalog.transaction() as session:
            rebuilds.ask_to_switch(session, session.get_one(Rebuild, rebuild))
        self.conduct()
        return self.state(rebuild)

    def ready(self, model: str = "new", **more: Any) -> int:
        """A rebuild that can be switched to; its number."""
        rebuild = self.begin(model, **more)
        assert self.embed(rebuild) == "comparing", self.error(rebuild)
        assert self.compare(rebuild) == "ready", self.error(rebuild)
        return rebuild

    def state(self, rebuild: int) -> str:
        """A rebuild's state."""
        with self.catalog.reading() as session:
            return session.get_one(Rebuild, rebuild).state

    def error(self, rebuild: int) -> str:
        """Why it failed or was stopped."""
        with self.catalog.reading() as session:
            return session.get_one(Rebuild, rebuild).error or ""

    def plan(self, rebuild: int) -> dict[str, Any]:
        """A rebuild's plan."""
        with self.catalog.reading() as session:
            return dict(session.get_one(Rebuild, rebuild).plan or {})

    def found(self, rebuild: int) -> list[tuple[str, str | None]]:
        """Kind and face of each finding."""
        with self.catalog.reading() as session:
            mine = select(Finding.kind, Finding.face_id).where(Finding.rebuild_id == rebuild)
            return sorted((kind, face) for kind, face in session.execute(mine))

    def claims_expire(self) -> None:
        """As a minute without the worker does."""
        with self.catalog.transaction() as session:
            session.execute(update(Chunk).where(Chunk.claim.is_not(None)).values(claim_expires_at=0.0))

    def dying_at(self, moment: str) -> Tools:
        """Tools of a worker that ends at *moment*, by an error that nobody catches."""

        def passed(now: str) -> None:
            if now == moment:
                raise Died(moment)

        return self.tools_that(passed)

    def tools_that(self, passed: Callable[[str], None]) -> Tools:
        """Tools that have *passed* called at each moment."""
        return replace(self.tools, passed=passed, name="elsewhere:1")

    def dies_over(self, face: str, rebuild: int, moment: str) -> None:
        """Die where the chunk that is claimed now holds *face*."""
        if moment == "claimed":
            with self.catalog.reading() as session:
                number = faces.by_public_id(session, rows.gallery(session).id, face).id
                mine = (Chunk.rebuild_id == rebuild, Chunk.state == "queued", Chunk.claim.is_not(None))
                holding = (Chunk.first_id <= number, Chunk.last_id >= number, Chunk.claim_expires_at > 0)
                chunk = session.scalars(select(Chunk).where(*mine, *holding)).first()
            if chunk is not None and chunk.attempts <= chunks.ALONE_AT_MOST:
                raise Died(face)

    def resume(self, rebuild: int, *, skip_missing: bool = False) -> None:
        """Go on with a rebuild."""
        with self.catalog.transaction() as session:
            rebuilds.resume(session, session.get_one(Rebuild, rebuild), skip_missing=skip_missing)

    def drop(self, rebuild: int) -> None:
        """Cancel a rebuild, and remove the embeddings that it has made."""
        with self.catalog.transaction() as session:
            row = session.get_one(Rebuild, rebuild)
            rebuilds.cancel(session, row)
            session.execute(delete(Embedding).where(Embedding.model_id == row.model_id))
            session.execute(delete(Generation).where(Generation.id == row.generation_id))

    def fail_comparison(self, rebuild: int) -> None:
        """End the comparison as one that had no memory."""
        with self.catalog.transaction() as session:
            row = session.get_one(Rebuild, rebuild)
            job = session.scalars(select(Job).where(Job.public_id == row.comparison_job)).one()
            held = computations.claim(session, job.id, by="here:1", lease_s=60)
            assert held is not None
            computations.fail(session, held, "It had no memory for it: no memory.", "error")

    def faces(self, generation: int | None = None) -> list[tuple[str, str | None, str | None, bool]]:
        """Public id, person, who assigned it, and whether it has its embedding, of every face with a chip of a generation."""
        with self.catalog.reading() as session:
            made = self._generation(session, generation)
            found = session.execute(
                select(Face.public_id, Person.name, Face.assigned_by, Embedding.face_id)
                .outerjoin(Person, Person.id == Face.person_id)
                .outerjoin(Embedding, (Embedding.face_id == Face.id) & (Embedding.model_id == made.model_id))
                .where(Face.round == made.round, Face.chip_key.is_not(None))
                .order_by(Face.public_id)
            )
            return [(face, name, by, embedded is not None) for face, name, by, embedded in found]

    def vectors(self, generation: int | None = None) -> dict[str, bytes]:
        """The vector of each face of a generation, by public id."""
        with self.catalog.reading() as session:
            made = self._generation(session, generation)
            rows_ = session.execute(
                select(Face.public_id, Embedding.vector)
                .join(Embedding, (Embedding.face_id == Face.id) & (Embedding.model_id == made.model_id))
                .where(Face.round == made.round)
            )
            return dict(rows_.all())

    def boxes(self, round_: int) -> list[str]:
        """Faces of a round that are kept as box and score, by public id."""
        with self.catalog.reading() as session:
            mine = select(Face.public_id).where(Face.round == round_, Face.chip_key.is_(None))
            return sorted(session.scalars(mine))

    def made(self, rebuild: int) -> int:
        """The number of the generation that a rebuild makes."""
        with self.catalog.reading() as session:
            return session.get_one(Rebuild, rebuild).generation_id or 0

    def active(self) -> tuple[int | None, int, list[int]]:
        """The active generation, its round, and the live ones."""
        with self.catalog.reading() as session:
            collection = rows.gallery(session)
            return collection.generation_id, collection.round, collection.live

    def log(self) -> list[str]:
        """What was logged."""
        with self.catalog.reading() as session:
            return list(session.scalars(select(LogEntry.operation).order_by(LogEntry.sequence)))

    def chips(self) -> list[tuple[str, str, str]]:
        """Face, chip and photo of each face with a chip of the active round: public id and keys."""
        with self.catalog.reading() as session:
            columns = (Face.public_id, Face.chip_key, Photo.object_key)
            wanted = select(*columns).join(Photo, Photo.id == Face.photo_id).join(Collection)
            mine = wanted.where(Face.round == Collection.round, Face.chip_key.is_not(None)).order_by(Face.id)
            return [(face, chip or "", photo) for face, chip, photo in session.execute(mine)]

    def rows_of(self, generation: int) -> dict[str, Face]:
        """The rows of the faces of a generation's round, by public id."""
        with self.catalog.reading() as session:
            made = self._generation(session, generation)
            return {row.public_id: row for row in session.scalars(select(Face).where(Face.round == made.round))}

    def all_rows(self, round_: int) -> list[tuple[Any, ...]]:
        """Everything that a round says of its faces."""
        with self.catalog.reading() as session:
            found = session.scalars(select(Face).where(Face.round == round_).order_by(Face.id))
            return [(f.id, f.public_id, f.person_id, f.rule, f.box, f.score, f.chip_key, f.chip_map) for f in found]

    def assign(self, face: str, person: str) -> None:
        """Say by hand whose a face is."""
        with self.catalog.transaction() as session:
            collection = rows.gallery(session)
            somebody = people.ensure(session, collection.id, person)
            faces.assign(session, faces.by_public_id(session, collection.id, face), somebody)

    def move_box(self, face: str, box: list[float]) -> None:
        """Have the catalog say that a face is somewhere else in its photo."""
        with self.catalog.transaction() as session:
            session.execute(update(Face).where(Face.public_id == face).values(box=box))

    def decide(self, rebuild: int, candidate: str | None) -> None:
        """Decide the only ambiguous finding."""
        with self.catalog.transaction() as session:
            row = session.get_one(Rebuild, rebuild)
            [finding] = findings.page(session, row, kind="ambiguous")
            findings.decide(session, row, finding.id, candidate)

    @staticmethod
    def cosine(a: Vectors, b: bytes) -> float:
        """Of a vector of norm 1 and a stored one."""
        stored = np.frombuffer(b, "<f2").astype(np.float32)
        return float(a @ stored / np.linalg.norm(stored))

    def embedded_again(self, model: str, face: str, row: Face | None = None) -> Vectors:
        """What *model* says of the stored chip of a face of the active round, or of *row*, (d,) float32 of norm 1."""
        with self.catalog.reading() as session:
            digest = session.scalars(select(Model.digest).where(Model.name == model)).one()
            row = row or faces.by_public_id(session, rows.gallery(session).id, face)
        to_chip = np.array(row.chip_map, np.float64)
        landmarks = chips.mapped(to_chip, np.array(row.landmarks, np.float32))
        chip = Chip(self.tools.store.get(row.chip_key or ""), to_chip, landmarks)
        vector: Vectors = self.tools.models.pipeline(digest, None).embed([chip])[0]
        return vector

    def _generation(self, session: Session, number: int | None) -> Generation:
        return session.get_one(Generation, number or rows.gallery(session).generation_id)


class Died(BaseException):
    """A worker's end that no code of ours can catch, short of SIGKILL."""
