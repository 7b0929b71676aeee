"""The vault: what lies in the store is sealed, opens to what was put, and does not open when anybody touched it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select, update

from index.manifest import MANIFEST
from services import formats, intake, wrappings
from services.catalog import photos, sealed
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.migrate import migrate
from services.catalog.rebuilding.carrying import Chipped
from services.catalog.schema import Face, Photo
from services.catalog.tables.sealing import ObjectKey
from services.errors import CannotStart, DamagedObject, MissingObject, WrappingKeyMissing
from services.intake import Upload
from services.labels import Label
from services.photos import keys, sealing, wrapping
from services.photos.sealing import MAGIC, PIECE_BYTES
from services.photos.store import PhotoStore
from services.settings.sealing import SealingSettings
from services.vault import Vault
from tests import vaults
from tests.integration.catalog import rows
from tests.integration.rebuilding import Gallery
from workers import pruning
from workers.models.bundle import Bundle
from workers.rebuild import reembedding
from workers.serving.shelving import PhotoStoreShelf

pytestmark = pytest.mark.slow

OTHER_KEY = wrapping.generated()


class Local(NamedTuple):
    """A catalog in a file, and a vault over it."""

    catalog: Catalog
    vault: Vault


def take(catalog: Catalog, vault: Vault, data: bytes, folder: Path) -> Photo:
    """Take a photo in; its row."""
    path = folder / "photo.jpg"
    path.write_bytes(data)
    upload = Upload("photo.jpg", path, len(data), hashlib.sha256(data).hexdigest(), data[: formats.HEAD_BYTES])
    with catalog.transaction() as session:
        job = jobs.create(session, rows.gallery(session).id, kind="import", queue="bulk", closed=False)
    [taken] = intake.take(catalog, vault, job.id, [upload], [Label("Ana")])
    with catalog.reading() as session:
        return photos.by_public_id(session, rows.gallery(session).id, taken.photo_id or "")


@pytest.fixture
def vault(catalog: Catalog, photo_store: PhotoStore) -> Vault:
    """One that seals."""
    return vaults.sealed(photo_store, catalog)


@pytest.fixture
def local(photo_store: PhotoStore, tmp_path: Path) -> Iterator[Local]:
    """One that seals, over SQLite: for what is the same on every database."""
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog' / 'catalog.sqlite'}")
    migrate(catalog)
    yield Local(catalog, vaults.sealed(photo_store, catalog))
    catalog.close()


@pytest.fixture
def jpeg(photos: list[Path]) -> bytes:
    """A photo of several pieces."""
    return photos[0].read_bytes() + os.urandom(2 * PIECE_BYTES)


def objects_of(gallery: Gallery) -> dict[str, list[str]]:
    """Names of all objects of photos, by their kind."""
    with gallery.catalog.reading() as session:
        return {
            keys.PHOTOS: list(session.scalars(select(Photo.object_key))),
            keys.THUMBNAILS: [name for name in session.scalars(select(Photo.thumbnail_key)) if name],
            keys.CHIPS: [name for name in session.scalars(select(Face.chip_key)) if name],
        }


def test_photos_chips_and_thumbnails_lie_sealed_and_open_to_what_was_put(rebuilt: Gallery, photos: list[Path]) -> None:
    vault, lying = rebuilt.tools.store, rebuilt.tools.store.objects
    given = {hashlib.sha256(path.read_bytes()).hexdigest() for path in photos}

    objects = objects_of(rebuilt)

    assert [len(names) for names in objects.values()] == [5, 5, 5]
    for names in objects.values():
        opened = vault.get_many(names)
        assert opened == [vault.get(name) for name in names]
        for name, data in zip(names, opened, strict=True):
            sealed_ = lying.get(name)
            assert data is not None
            assert data.startswith(b"\xff\xd8\xff")
            assert sealed_.startswith(MAGIC)
            assert not any(data[at : at + 32] in sealed_ for at in range(0, len(data) - 32, 101))
            assert vault.size(name) == len(data) == len(sealed_) - 40 - 16 * ((len(data) - 1) // PIECE_BYTES)
            assert vault.holds(name, hashlib.sha256(data).hexdigest())
    assert {hashlib.sha256(vault.get(name)).hexdigest() for name in objects[keys.PHOTOS]} == given


def test_every_photo_has_a_key_of_its_own_that_the_catalog_holds_wrapped(rebuilt: Gallery) -> None:
    given = rebuilt.tools.store.wrapping
    assert given is not None
    with rebuilt.catalog.reading() as session:
        wrapped = {photo.public_id: photo.sealed_key for photo in session.scalars(select(Photo))}

    unwrapped = {given.unwrap(key or b"", photo_id) for photo_id, key in wrapped.items()}

    assert len(unwrapped) == 5
    assert not any(key in (held or b"") for key in unwrapped for held in wrapped.values())


def test_the_same_models_say_the_same_of_sealed_chips_and_of_plain_ones(
    rebuilt: Gallery, catalog: Catalog, two_models: Path
) -> None:
    columns = (Face.id, Face.public_id, Face.chip_key, Face.chip_map, Face.landmarks, Photo.public_id, Photo.object_key)
    with catalog.reading() as session:
        wanted = select(*columns).join(Photo, Photo.id == Face.photo_id).where(Face.chip_key.is_not(None))
        chipped = [Chipped(*row) for row in session.execute(wanted)]  # type: ignore[arg-type] # They have a chip.
    digest = Bundle.open(two_models / "new").digest

    of_sealed = reembedding.of_stored(chipped, digest, rebuilt.tools)
    for face in chipped:
        rebuilt.tools.store.objects.put(face.chip_key, rebuilt.tools.store.get(face.chip_key))
    with catalog.transaction() as session:
        session.execute(update(Photo).values(sealed_key=None))
    of_plain = reembedding.of_stored(chipped, digest, rebuilt.tools)

    assert of_sealed.vectors == of_plain.vectors
    assert len(of_sealed.vectors) == 5
    assert not of_sealed.lost


Damage = Callable[[bytes, bytes], bytes]

DAMAGES: dict[str, Damage] = {
    "a byte of the header": lambda data, _: b"C" + data[1:],
    "a byte of the salt": lambda data, _: data[:10] + bytes([data[10] ^ 1]) + data[11:],
    "a byte in the middle": lambda data, _: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "the last byte": lambda data, _: data[:-1] + bytes([data[-1] ^ 1]),
    "cut short": lambda data, _: data[:-100],
    "the last piece left out": lambda data, _: data[: 24 + 2 * (PIECE_BYTES + 16)],
    "empty": lambda *_: b"",
    "another's": lambda _, other: other,
    "a picture": lambda *_: b"\xff\xd8\xff" + bytes(5000),
}


def test_what_was_touched_does_not_open(local: Local, jpeg: bytes, tmp_path: Path) -> None:
    catalog, vault = local
    photo, other = (take(catalog, vault, jpeg + tail, tmp_path) for tail in (b"1", b"2"))
    lying, others = vault.objects.get_many([photo.object_key, other.object_key])
    assert lying is not None
    assert others is not None

    for what, damage in DAMAGES.items():
        vault.objects.put(photo.object_key, damage(lying, others))

        with pytest.raises(DamagedObject, match=photo.object_key):
            vault.get(photo.object_key)
        handed_on = bytearray()
        with pytest.raises(DamagedObject):
            for piece in vault.stream(photo.object_key):
                handed_on += piece
        assert jpeg.startswith(bytes(handed_on)), what
        assert vault.get_many([photo.object_key, other.object_key]) == [None, jpeg + b"2"], what
        assert vault.get_many([photo.object_key], damaged=b"") == [b""]
        assert not vault.holds(photo.object_key, photo.sha256)


def test_whoever_has_lost_the_wrapping_key_opens_nothing(local: Local, jpeg: bytes, tmp_path: Path) -> None:
    catalog, vault = local
    photo = take(catalog, vault, jpeg, tmp_path)
    mine = vault.wrapping.ids[0] if vault.wrapping else ""

    for other in (vaults.sealed(vault.objects, catalog, OTHER_KEY), vaults.plain(vault.objects, catalog)):
        with pytest.raises(WrappingKeyMissing, match=f"{mine}.*COLEGA_WRAPPING_KEYS"):
            other.get(photo.object_key)
        with pytest.raises(WrappingKeyMissing):
            other.get_many([photo.object_key])


def test_a_process_without_the_right_keys_does_not_start(catalog: Catalog) -> None:
    right, wrong, none = (SealingSettings(wrapping_keys=key) for key in (vaults.WRAPPING_KEY, OTHER_KEY, None))
    assert wrappings.given(none, catalog) is None
    both = SealingSettings(wrapping_keys=f"{OTHER_KEY},{vaults.WRAPPING_KEY}")
    with pytest.raises(CannotStart, match="COLEGA_REQUIRE_SEALING"):
        wrappings.given(SealingSettings(require_sealing=True), catalog)

    given = wrappings.given(right, catalog)

    assert given is not None
    for settings in (wrong, none):
        with pytest.raises(CannotStart, match=f"{given.ids[0]}.*COLEGA_WRAPPING_KEYS"):
            wrappings.given(settings, catalog)
    assert wrappings.given(both, catalog) is not None
    with pytest.raises(CannotStart):
        wrappings.given(right, catalog)  # The other one wraps already.


def test_rotation_wraps_anew_touches_no_object_and_ends_the_need_for_the_old_key(
    catalog: Catalog, vault: Vault, jpeg: bytes, tmp_path: Path
) -> None:
    took = [take(catalog, vault, jpeg + bytes([n]), tmp_path) for n in range(3)]
    vault.put(keys.report("job_1", "report.html"), b"<p>figures</p>")
    names = [photo.object_key for photo in took] + [keys.report("job_1", "report.html")]
    lying, plain = vault.objects.get_many(names), vault.get_many(names)
    both = SealingSettings(wrapping_keys=f"{OTHER_KEY} {vaults.WRAPPING_KEY}")
    old = wrappings.given(SealingSettings(wrapping_keys=vaults.WRAPPING_KEY), catalog)
    given = wrappings.given(both, catalog)
    assert given is not None
    assert old is not None
    rotated = Vault(vault.objects, catalog, given)

    before = wrappings.counted(catalog, given)
    assert rotated.get_many(names) == plain
    renewed = wrappings.renew(catalog, given, for_s=60)
    again = wrappings.renew(catalog, given, for_s=60)

    assert [(one.id, one.keys, one.is_newest) for one in before] == [(given.ids[0], 0, True), (old.ids[0], 4, False)]
    assert (renewed, again) == (4, 0)
    assert [(one.id, one.keys) for one in wrappings.counted(catalog, given)] == [(given.ids[0], 4), (old.ids[0], 0)]
    assert vault.objects.get_many(names) == lying
    new = wrappings.given(SealingSettings(wrapping_keys=OTHER_KEY), catalog)
    assert Vault(vault.objects, catalog, new).get_many(names) == plain
    with pytest.raises(WrappingKeyMissing):
        vault.get(names[0])


def test_a_rotation_that_is_stopped_goes_on_with_what_is_left(
    catalog: Catalog, vault: Vault, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        take(catalog, vault, jpeg + bytes([n]), tmp_path)
    both = vaults.sealed(vault.objects, catalog, f"{OTHER_KEY} {vaults.WRAPPING_KEY}").wrapping
    assert both is not None
    monkeypatch.setattr(wrappings, "_AT_ONCE", 1)

    renewed: list[int] = []
    while not renewed or renewed[-1]:
        renewed.append(wrappings.renew(catalog, both, for_s=-1))

    assert renewed == [1, 1, 1, 0]


def test_bytes_that_come_back_are_sealed_with_the_key_of_their_photo(
    catalog: Catalog, vault: Vault, jpeg: bytes, tmp_path: Path
) -> None:
    photo = take(catalog, vault, jpeg, tmp_path)
    vault.put_many(
        [(keys.thumbnail(1, photo.public_id), b"small")], photos={keys.thumbnail(1, photo.public_id): photo.id}
    )
    vault.delete(photo.object_key)
    with catalog.transaction() as session:
        session.execute(update(Photo).values(state="rejected", reason="missing_object"))

    again = take(catalog, vault, jpeg, tmp_path)

    assert (again.id, again.public_id) == (photo.id, photo.public_id)
    assert again.object_key != photo.object_key
    assert vault.get(again.object_key) == jpeg
    assert vault.get(keys.thumbnail(1, photo.public_id)) == b"small"


def test_nothing_is_kept_for_a_photo_that_is_gone(catalog: Catalog, vault: Vault, jpeg: bytes, tmp_path: Path) -> None:
    photo = take(catalog, vault, jpeg, tmp_path)
    name = keys.thumbnail(photo.collection_id, photo.public_id)
    with catalog.transaction() as session:
        photos.delete(session, photos.by_public_id(session, photo.collection_id, photo.public_id))

    vault.put(name, b"small")
    vault.put_many([(name, b"small")], photos={name: photo.id})

    assert not vault.exists(name)
    with pytest.raises(MissingObject):
        vault.get(photo.object_key)  # It is there still, and nobody has its key.


def test_what_belongs_to_no_photo_has_a_key_of_its_own_as_long_as_it_is_there(
    catalog: Catalog, vault: Vault, tmp_path: Path
) -> None:
    names = ["snapshots/1/g1/segments/a.vectors", "archives/job_1", "reports/job_1/report.html"]
    data, file = os.urandom(3 * PIECE_BYTES + 7), tmp_path / "file"
    file.write_bytes(data)

    for name in names:
        vault.put(name, file)
        vault.put(name, file)  # By somebody else at the same time: under the same key.

    assert vault.get_many(names) == [data] * 3
    lying = vault.objects.get_many(names)
    assert len({(one or b"")[:8] for one in lying}) == 1
    assert len(set(lying)) == 3
    for name in names:
        assert [(s.key, s.size_bytes) for s in vault.plain(vault.list(name))] == [(name, len(data))]
    with catalog.reading() as session:
        assert len(set(session.scalars(select(ObjectKey.sealed_key)))) == 3
    vault.delete_many(names)
    vault.objects.put_many([(name, one or b"") for name, one in zip(names, lying, strict=True)])  # Copies from before.
    with catalog.reading() as session:
        assert not session.scalars(select(ObjectKey)).all()
    assert vault.get_many(names) == [None] * 3


def test_snapshots_are_sealed_on_the_shelf_and_plain_where_they_are_fetched(local: Local, tmp_path: Path) -> None:
    catalog, vault = local
    shelf, file, fetched = PhotoStoreShelf(vault, 1, 2), tmp_path / "file", tmp_path / "fetched"
    file.write_bytes(os.urandom(200_000))

    shelf.put(f"e-1/{MANIFEST}", file)
    shelf.get(f"e-1/{MANIFEST}", fetched)

    assert fetched.read_bytes() == file.read_bytes()
    [stored] = vault.list(keys.snapshots(1, 2))
    damaged = bytearray(vault.objects.get(stored.key))
    damaged[-1] ^= 1
    vault.objects.put(stored.key, bytes(damaged))
    with pytest.raises(OSError, match="cannot be opened"):
        shelf.get(f"e-1/{MANIFEST}", fetched)
    assert not fetched.exists()
    assert [name for name, _ in shelf.names()] == [f"e-1/{MANIFEST}"]
    shelf.delete(f"e-1/{MANIFEST}")
    assert not list(vault.list(keys.SNAPSHOTS))
    assert pruning.drop_lost_snapshots(catalog, vault) == 0


def test_models_lie_there_as_they_are(local: Local) -> None:
    vault = local.vault
    vault.put("models/abc/model.onnx", b"weights")

    assert vault.objects.get("models/abc/model.onnx") == vault.get("models/abc/model.onnx") == b"weights"
    assert vault.size("models/abc/model.onnx") == 7


def test_a_batch_asks_the_catalog_once_for_the_keys_of_its_kind(local: Local, jpeg: bytes, tmp_path: Path) -> None:
    catalog, vault = local
    from sqlalchemy import event

    names = [take(catalog, vault, jpeg + bytes([n]), tmp_path).object_key for n in range(4)]
    asked: list[str] = []
    event.listen(catalog.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    vault.get_many(names)

    assert len([statement for statement in asked if statement.startswith("SELECT")]) == 1


def test_keys_are_found_by_indexes(local: Local) -> None:
    with local.catalog.reading() as session:
        plans = [
            session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
            for statement in (
                "SELECT sealed_key FROM photos WHERE object_key IN ('a', 'b')",
                "SELECT p.sealed_key FROM faces f JOIN photos p ON p.id = f.photo_id WHERE f.public_id IN ('a', 'b')",
                "SELECT id FROM photos WHERE sealed_key IS NULL LIMIT 5",
                "SELECT id FROM photos WHERE sealing_since <= 5",
            )
        ]

    assert not [step for plan in plans for step in plan if step[3].startswith("SCAN") and "INDEX" not in step[3]]


def test_status_counts_what_is_plain(catalog: Catalog, vault: Vault, jpeg: bytes, tmp_path: Path) -> None:
    take(catalog, vaults.plain(vault.objects, catalog), jpeg, tmp_path)
    take(catalog, vault, jpeg + b"1", tmp_path)

    with catalog.reading() as session:
        assert sealed.unsealed(session) == 1
    assert sealing.is_sealed(MAGIC)
