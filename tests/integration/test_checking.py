"""Checks: what is lost, altered, left over or exchanged is found and named, and mended where it can be."""

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, func, select, update

from services import formats, intake
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import checks, collections, computations, generations, photos
from services.catalog.engine import Catalog
from services.catalog.erasing import removals
from services.catalog.importing import jobs
from services.catalog.schema import Collection, Computation, Embedding, Face, Generation, Job, LogEntry, Model, Photo
from services.intake import Upload
from services.labels import Label
from services.photos import keys
from services.photos.store import PhotoStore
from services.vault import Vault
from tests import vaults
from workers import checking, ingestion, upkeep
from workers.checks import schedule
from workers.checks.mending import chip_of
from workers.checks.vectors import LEAST_ACROSS, LEAST_COSINE
from workers.collection_bench import CollectionBench
from workers.ingestion import Tools
from workers.models.registry import Registry
from workers.tasks.prepare import prepare

pytestmark = pytest.mark.slow

MAX_PIXELS = 10**8
PEOPLE = ("Barack Obama/1.jpg", "Barack Obama/2.jpg", "Grace Hopper/1.jpg")


class Kept:
    """A collection of real photos, taken in by the real path, and checks of it."""

    def __init__(self, catalog: Catalog, store: PhotoStore, models: "Models", folder: Path, waking: Waking) -> None:
        self.catalog, self.store, self.folder = catalog, vaults.sealed(store, catalog), folder
        prepare(catalog, store, models.folder)
        self.registry = models.registry(catalog, store)
        self._tools = Tools(catalog, self.store, self.registry, waking)

    def take(self, paths: list[Path]) -> None:
        with self.catalog.transaction() as session:
            gallery = collections.by_name(session, collections.DEFAULT)
            job = jobs.create(session, gallery.id, kind="import", queue="bulk", closed=False)
        items = []
        for path in paths:
            data = path.read_bytes()
            upload = Upload(path.name, path, len(data), hashlib.sha256(data).hexdigest(), data[: formats.HEAD_BYTES])
            [taken] = intake.take(self.catalog, self.store, job.id, [upload], [Label(path.parent.name)])
            assert taken.item_id is not None
            items.append(taken.item_id)
        assert ingestion.ingest(items, self._tools) == []

    def check(
        self,
        told: Callable[[Mapping[str, Any]], None] = lambda _: None,
        *,
        store: Vault | None = None,
        **wanted: Any,
    ) -> dict[str, Any]:
        with self.catalog.reading() as session:
            gallery = collections.by_name(session, collections.DEFAULT)
        self.folder.mkdir(exist_ok=True)
        bench = CollectionBench(
            self.catalog, store or self.store, self.registry, gallery, "job_1", self.folder, MAX_PIXELS, told
        )
        found = checking.check(wanted, bench)
        (self.folder / checking.LEDGER).unlink()
        return found

    def faces(self) -> list[Face]:
        with self.catalog.reading() as session:
            return list(session.scalars(select(Face).where(Face.chip_key.is_not(None)).order_by(Face.id)))

    def photos(self) -> list[Photo]:
        with self.catalog.reading() as session:
            return list(session.scalars(select(Photo).order_by(Photo.id)))

    def vectors(self) -> dict[int, bytes]:
        with self.catalog.reading() as session:
            return {row.face_id: row.vector for row in session.scalars(select(Embedding))}

    def damage(self, face: Face, vector: bytes, variant: str | None = None) -> None:
        values = {"vector": vector} if variant is None else {"vector": vector, "variant": variant}
        with self.catalog.transaction() as session:
            session.execute(update(Embedding).where(Embedding.face_id == face.id).values(values))

    def logged(self) -> list[tuple[str, int]]:
        with self.catalog.reading() as session:
            rows = session.execute(select(LogEntry.operation, LogEntry.face_id).order_by(LogEntry.sequence))
            return [(operation, face) for operation, face in rows]

    def proof(self) -> list[generations.Proof]:
        with self.catalog.reading() as session:
            ready = session.scalars(select(Generation).where(Generation.state == generations.PREPARED))
            return [generations.prove(session, generation) for generation in ready.all()]


class Models:
    """A folder of models; what was opened once stays open for the tests that follow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: Registry | None = None

    def registry(self, catalog: Catalog, store: PhotoStore) -> Registry:
        made = Registry(catalog, store, self.folder, max_pixels=MAX_PIXELS)
        if self._opened is not None:
            made._embedders, made._detectors = self._opened._embedders, self._opened._detectors
        self._opened = made
        return made


@pytest.fixture(scope="session")
def models_at(default_models: Path) -> Models:
    return Models(default_models)


@pytest.fixture
def kept(
    catalog: Catalog, with_models: PhotoStore, models_at: Models, tmp_path: Path, examples: Path, valkey: str
) -> Kept:
    kept = Kept(catalog, with_models, models_at, tmp_path / "check", Waking(valkey))
    kept.take([examples / "people" / name for name in PEOPLE])
    return kept


def cosine(a: bytes, b: bytes) -> float:
    one, other = (np.frombuffer(raw, "<f2").astype(np.float64) for raw in (a, b))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def jpeg_of(colour: tuple[int, int, int], side_px: int = 224) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side_px, side_px), colour).save(out, "JPEG")
    return out.getvalue()


def test_a_collection_that_is_whole_is_said_to_be(kept: Kept) -> None:
    found = kept.check(checksums="all", embeddings="all")

    assert found["ok"], found["named"]
    assert found["problems"] == found["mended"] == found["remaining"] == found["named"] == {}
    counted = {"photos": 3, "chips": 3, "thumbnails": 3, "checksums": 3, "vectors": 3, "embeddings": 3}
    assert {what: found["looked_at"][what] for what in counted} == counted
    assert found["looked_at"]["models"] >= 1
    assert found["looked_at"]["objects"] >= 9
    [compared] = found["compared"]
    assert compared["least_cosine"] >= LEAST_COSINE
    assert kept.check(checksums=2, embeddings=1)["looked_at"]["checksums"] == 2


def _lose(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    store.delete(key)


def _empty(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    store.put(key, b"")


def _cut_short(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    store.put(key, store.get(key)[:-2000])


def _flip(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    data = bytearray(store.get(key))
    for at in range(len(data) // 2, len(data) // 2 + 8):
        data[at] ^= 0x15
    store.put(key, bytes(data))


def _exchange(store: Vault, key: str, other: bytes) -> None:
    store.put(key, other)


def _make_grey(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    store.put(key, jpeg_of((127, 127, 127)))


def _make_small(store: Vault, key: str, other: bytes) -> None:  # noqa: ARG001
    store.put(key, jpeg_of((127, 127, 127), 112))


@pytest.mark.parametrize("damage", [_lose, _empty, _cut_short, _flip, _exchange, _make_grey, _make_small])
def test_a_chip_is_cut_again_and_the_face_embedded_anew(
    kept: Kept, damage: Callable[[Vault, str, bytes], None]
) -> None:
    face, _, other = kept.faces()
    assert face.chip_key is not None
    assert other.chip_key is not None
    was, before = kept.store.get(face.chip_key), kept.vectors()
    damage(kept.store, face.chip_key, kept.store.get(other.chip_key))

    seen = kept.check(embeddings="all", checksums=0)
    mended = kept.check(embeddings="all", checksums=0, repair=True)
    after = kept.check(embeddings="all", checksums=0)

    kind = "chip_missing" if damage is _lose else "chip_damaged"
    assert (seen["ok"], seen["problems"], seen["remaining"]) == (False, {kind: 1}, {kind: 1}), seen
    assert [(one["face"], one["object"]) for one in seen["named"][kind]] == [(face.public_id, face.chip_key)]
    assert (mended["mended"], mended["remaining"]) == ({kind: 1}, {}), mended
    assert after["ok"], after["named"]
    assert kept.store.get(face.chip_key) == was
    assert kept.logged()[-1] == ("add", face.id)
    assert {number for number, vector in kept.vectors().items() if cosine(vector, before[number]) < 0.9999} == set()


def _zeroed(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    return bytes(len(right))


def _not_a_number(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    vector = np.frombuffer(right, "<f2").copy()
    vector[7] = np.nan
    return vector.tobytes()


def _too_short(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    return right[:-2]


def _too_long(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    return (2 * np.frombuffer(right, "<f2")).tobytes()


def _anothers(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    return other


def _one_number_is_another(right: bytes, other: bytes) -> bytes:  # noqa: ARG001
    vector = np.frombuffer(right, "<f2").astype(np.float32)
    vector[3] += 0.05
    return (vector / np.linalg.norm(vector)).astype("<f2").tobytes()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (_zeroed, "embedding_malformed"),
        (_not_a_number, "embedding_malformed"),
        (_too_short, "embedding_malformed"),
        (_too_long, "embedding_malformed"),
        (_anothers, "embedding_wrong"),
        (_one_number_is_another, "embedding_wrong"),
    ],
)
def test_an_embedding_that_is_not_the_faces_is_made_anew(
    kept: Kept, damage: Callable[[bytes, bytes], bytes], kind: str
) -> None:
    face, _, other = kept.faces()
    before = kept.vectors()
    kept.damage(face, damage(before[face.id], before[other.id]))

    seen = kept.check(objects=False, checksums=0)
    mended = kept.check(objects=False, checksums=0, repair=True)

    assert (seen["problems"], [one["face"] for one in seen["named"][kind]]) == ({kind: 1}, [face.public_id])
    assert (mended["mended"], mended["remaining"]) == ({kind: 1}, {})
    assert cosine(kept.vectors()[face.id], before[face.id]) >= 0.9999
    assert kept.logged()[-1] == ("add", face.id)
    assert kept.check(objects=False, checksums=0)["ok"]


@pytest.mark.parametrize(("variant", "least"), [("fp32", LEAST_COSINE), ("bf16", LEAST_ACROSS)])
def test_an_embedding_is_held_against_the_variant_that_made_it(kept: Kept, variant: str, least: float) -> None:
    """One that cannot be computed here is allowed to be as far off as variants are; another face's is still found."""
    first, *_, last = kept.faces()
    with kept.catalog.reading() as session:
        digest = session.scalars(select(Model).where(Model.kind == "embedder")).one().digest
    exact = kept.registry.bundle(digest).embedder("fp32")
    for face in kept.faces():
        chip = chip_of(face, kept.store.get(face.chip_key or ""))
        kept.damage(face, exact.embed([exact.crop(chip)])[0].astype("<f2").tobytes(), variant)

    well = kept.check(objects=False, checksums=0)
    kept.damage(first, kept.vectors()[last.id], variant)
    wrong = kept.check(objects=False, checksums=0)

    assert well["ok"], well["named"]
    assert least <= well["compared"][0]["least_cosine"] <= 1.0001
    assert [one["face"] for one in wrong["named"]["embedding_wrong"]] == [first.public_id]


def test_a_good_embedding_is_not_written_over_from_a_chip_that_nobody_can_judge(kept: Kept) -> None:
    """Where the raw photo is gone, it cannot be told which of the two is wrong."""
    face, _, other = kept.faces()
    photo = kept.photos()[0]
    assert face.chip_key is not None
    assert other.chip_key is not None
    before = kept.vectors()[face.id]
    kept.store.put(face.chip_key, kept.store.get(other.chip_key))
    kept.store.delete(photo.object_key)

    found = kept.check(checksums=0, repair=True)

    assert found["remaining"] == {"photo_missing": 1, "embedding_wrong": 1}
    assert "cannot be told" in found["named"]["embedding_wrong"][0]["why"]
    assert kept.vectors()[face.id] == before


def test_a_face_without_its_embedding_gets_it_and_a_box_loses_its_own(kept: Kept) -> None:
    face, bare, _ = kept.faces()
    with kept.catalog.transaction() as session:
        session.execute(delete(Embedding).where(Embedding.face_id == face.id))
        removals.note(session, bare.chip_key)
        session.execute(update(Face).where(Face.id == bare.id).values(chip_key=None))
    assert not kept.proof()[0].holds

    seen = kept.check(checksums=0)
    mended = kept.check(checksums=0, repair=True)

    assert seen["problems"] == {"embedding_missing": 1, "embedding_extra": 1}
    assert mended["remaining"] == {}
    assert kept.proof()[0].holds
    assert kept.logged()[-2:] == [("add", face.id), ("remove", bare.id)]


def test_a_face_that_another_generation_lacks_is_carried_over(kept: Kept) -> None:
    with kept.catalog.transaction() as session:
        gallery = session.scalars(select(Collection)).one()
        assert gallery.model_id is not None
        made = generations.begin(session, gallery.id, gallery.model_id, None, round_=1)
        made.state = generations.PREPARED
    faces = kept.faces()

    seen = kept.check(checksums=0)
    mended = kept.check(checksums=0, repair=True)

    assert seen["problems"] == {"face_left_out": len(faces)}
    assert mended["remaining"] == {}
    assert [proof.holds for proof in kept.proof()] == [True, True]
    rows = kept.faces()
    assert [(row.round, row.public_id, row.person_id) for row in rows] == [
        (round_, face.public_id, face.person_id) for round_ in (0, 1) for face in faces
    ]
    assert kept.check(checksums=0)["ok"]


def test_a_chip_that_two_rounds_share_is_mended_in_both(kept: Kept) -> None:
    test_a_face_that_another_generation_lacks_is_carried_over(kept)
    face, twin = (next(row for row in kept.faces() if row.round == round_) for round_ in (0, 1))
    assert face.chip_key == twin.chip_key
    kept.store.delete(face.chip_key or "")

    mended = kept.check(checksums=0, repair=True)

    assert (mended["problems"], mended["remaining"]) == ({"chip_missing": 1}, {})
    assert set(kept.logged()[-2:]) == {("add", face.id), ("add", twin.id)}
    assert kept.check(checksums=0)["ok"]


def test_thumbnails_are_made_again(kept: Kept) -> None:
    photo = kept.photos()[1]
    assert photo.thumbnail_key is not None
    was = kept.store.get(photo.thumbnail_key)
    kept.store.delete(photo.thumbnail_key)

    seen = kept.check(checksums=0, embeddings=0)
    mended = kept.check(checksums=0, embeddings=0, repair=True)

    assert [one["photo"] for one in seen["named"]["thumbnail_missing"]] == [photo.public_id]
    assert mended["remaining"] == {}
    assert kept.store.get(photo.thumbnail_key) == was


def test_a_photo_that_was_lost_or_altered_is_named_with_what_to_do(kept: Kept) -> None:
    lost, longer, flipped = kept.photos()
    faces = kept.faces()
    kept.store.delete(lost.object_key)
    kept.store.put(longer.object_key, kept.store.get(longer.object_key) + b"x")
    data = bytearray(kept.store.get(flipped.object_key))
    data[len(data) // 2] ^= 1
    kept.store.put(flipped.object_key, bytes(data))
    kept.store.delete(faces[2].chip_key or "")

    found = kept.check(checksums=0, embeddings=0)
    whole = kept.check(checksums="all", embeddings=0, repair=True)

    assert [one["photo"] for one in found["named"]["photo_missing"]] == [lost.public_id]
    assert [one["photo"] for one in found["named"]["photo_altered"]] == [longer.public_id]
    assert {one["photo"] for one in whole["named"]["photo_altered"]} == {longer.public_id, flipped.public_id}
    assert whole["problems"]["photo_altered"] == 2
    assert "import it again" in whole["advice"]["photo_altered"]
    [chip] = whole["named"]["chip_missing"]
    assert (chip["mended"], "not as it was imported" in chip["why"]) == (False, True)


def test_objects_without_a_row_are_strays_when_they_are_old(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = kept.photos()[0].collection_id
    strays = [keys.photo(gallery, "pho_x"), keys.chip(gallery, "fac_x"), keys.thumbnail(gallery, "pho_x")]
    gone = [
        keys.chip(gallery + 7, "fac_y"),
        keys.photo(gallery + 70, "pho_y"),
        keys.report("job_y", "report.html"),
        keys.archive("job_y"),
        keys.model_file("0" * 64, "model.json"),
    ]
    kept.store.objects.put_many([(key, b"x") for key in (*strays, *gone)])
    there = {stored.key for stored in kept.store.list()}

    young = kept.check(checksums=0, embeddings=0, repair=True)
    monkeypatch.setattr(upkeep, "ORPHAN_AFTER_S", -60.0)  # As if an hour had passed.
    old = kept.check(checksums=0, embeddings=0)
    mended = kept.check(checksums=0, embeddings=0, repair=True)

    assert young["ok"], young["named"]
    assert {one["object"] for one in old["named"]["object_stray"]} == {*strays, *gone}
    assert mended["mended"] == {"object_stray": 8}
    assert there - {stored.key for stored in kept.store.list()} == {*strays, *gone}


def test_files_of_a_model_are_put_back_from_this_machine(kept: Kept) -> None:
    with kept.catalog.reading() as session:
        digest = session.scalars(select(Collection)).one().model_id
        names = [key.key for key in kept.store.list(f"{keys.MODELS}/") if key.key.endswith((".json", "int8.onnx"))]
    assert digest is not None
    assert len(names) >= 2
    kept.store.delete(names[0])
    kept.store.put(names[1], b"{}")

    seen = kept.check(checksums=1, embeddings=0)
    mended = kept.check(checksums=1, embeddings=0, repair=True)

    assert {one["object"] for one in seen["named"]["model_incomplete"]} == set(names[:2])
    assert mended["remaining"] == {}
    assert kept.check(checksums=1, embeddings=0)["ok"]


class Erasing(Vault):
    """A vault behind whose back a photo is erased just before anything is put."""

    erase: Callable[[], None]

    def put(self, key: str, data: Any, **how: Any) -> None:
        self.erase()
        super().put(key, data, **how)


def test_what_is_erased_while_it_is_mended_stays_erased(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    face, photo = kept.faces()[0], kept.photos()[0]
    kept.store.delete_many([face.chip_key or "", photo.thumbnail_key or ""])
    store = Erasing.__new__(Erasing)
    store.__dict__.update(kept.store.__dict__)

    def erase() -> None:
        with kept.catalog.transaction() as session:
            row = session.get(Photo, photo.id)
            if row is not None:
                photos.delete(session, row)
        upkeep.tidy(kept.catalog, kept.store, keep_unassigned_days=30, search_s=0)

    store.erase = erase
    found = kept.check(store=store, checksums=0, repair=True)
    upkeep.tidy(kept.catalog, kept.store, keep_unassigned_days=30, search_s=0)

    assert found["remaining"] == {}, found["named"]
    assert not [s.key for s in kept.store.list() if s.key in {face.chip_key, photo.thumbnail_key, photo.object_key}]
    assert face.id not in {row.id for row in kept.faces()}
    monkeypatch.setattr(upkeep, "ORPHAN_AFTER_S", -60.0)
    assert kept.check(checksums=0)["ok"]


class Killed(BaseException):
    """The process ends here."""


def test_a_repair_that_is_killed_anywhere_and_run_again_ends_the_same(kept: Kept) -> None:
    chipless, zeroed, other = kept.faces()
    photo = kept.photos()[1]
    before = kept.vectors()

    def damage() -> None:
        kept.store.delete_many([chipless.chip_key or "", photo.thumbnail_key or ""])
        kept.damage(zeroed, bytes(1024))
        kept.damage(other, before[chipless.id])

    killed_at = 0
    ended: list[dict[str, Any]] = []
    while not ended or killed_at < 40:
        damage()
        killed_at += 3
        left = [killed_at]

        def told(_: Mapping[str, Any], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        try:
            ended.append(kept.check(told, repair=True))
            break
        except Killed:
            pass
        ended.append(kept.check(repair=True))

    expected = {"chip_missing": 1, "thumbnail_missing": 1, "embedding_malformed": 1, "embedding_wrong": 1}
    assert len(ended) > 3
    for result in ended:
        assert result["mended"] == expected, result
        assert result["remaining"] == {}
    assert kept.check(checksums="all", embeddings="all")["ok"]
    assert all(cosine(vector, before[number]) >= 0.9999 for number, vector in kept.vectors().items())


def test_each_collection_is_checked_in_its_turn(catalog: Catalog, valkey: str, tmp_path: Path) -> None:
    del tmp_path
    queue = Queue(valkey)
    with catalog.transaction() as session:
        first, second = collections.by_name(session, "default"), collections.ensure(session, "second")
        session.add(_photo_of(second))

    assert schedule.begin_due(catalog, queue, every_h=24, sample=5) is None  # Both are younger than a day.
    with catalog.transaction() as session:
        session.execute(update(Collection).values(created_at=Collection.created_at - 90_000))
        session.execute(update(Collection).where(Collection.id == second.id).values(created_at=1000.0))
    assert schedule.begin_due(catalog, queue, every_h=0, sample=5) is None
    begun = [schedule.begin_due(catalog, queue, every_h=24, sample=5)]
    assert schedule.begin_due(catalog, queue, every_h=24, sample=5) is None  # One is under way.
    for _ in range(2):
        with catalog.transaction() as session:
            session.execute(update(Computation).values(state="done", result={"ok": True}))
        begun.append(schedule.begin_due(catalog, queue, every_h=24, sample=5))

    with catalog.reading() as session:
        rows = session.execute(select(Job.public_id, Job.collection_id, Job.source).order_by(Job.id)).all()
        last = checks.latest(session)
        asked = session.scalar(select(func.count()).select_from(Computation))
    assert [(job, of) for job, of, _ in rows] == [(begun[0], second.id), (begun[1], first.id)]
    assert {source for *_, source in rows} == {checks.SCHEDULED}
    assert (begun[2], asked, queue.depths()["training"]) == (None, 2, 2)
    assert set(last) == {first.id, second.id}


def test_old_scheduled_checks_are_forgotten_but_the_last_one(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = collections.by_name(session, "default").id
        made = [
            computations.create(session, gallery, computations.CHECK, {}, source=source).id
            for source in (checks.SCHEDULED, checks.WHOLE, checks.SCHEDULED, checks.SCHEDULED)
        ]
        session.execute(update(Job).values(created_at=Job.created_at - 40 * 86_400.0))

    with catalog.transaction() as session:
        checks.forget_old(session)

    with catalog.reading() as session:
        assert set(session.scalars(select(Job.id))) == {made[1], made[3]}


def _photo_of(collection: Collection) -> Photo:
    return Photo(
        public_id="pho_1",
        collection_id=collection.id,
        sha256="0" * 64,
        size_bytes=1,
        format="JPEG",
        source_name="1.jpg",
        object_key="photos/2/pho_1",
    )
