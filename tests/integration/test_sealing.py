"""Photos from before there was a wrapping key are sealed by and by, and can be read at every moment of it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from services.catalog import photos as photo_rows
from services.catalog import sealed
from services.catalog.engine import Catalog
from services.catalog.schema import Face, Photo, Removal
from services.catalog.tables.sealing import ObjectKey
from services.errors import DamagedObject
from services.photos import keys
from services.photos.sealing import MAGIC
from services.photos.store import PhotoStore
from services.vault import Vault
from tests import vaults
from tests.integration.catalog import rows
from tests.integration.test_vault import take
from workers import sealing

pytestmark = pytest.mark.slow

REPORT, SEGMENT = keys.report("job_1", "report.html"), "snapshots/1/g1/segments/a.vectors"


class Ended(BaseException):
    """The process ends here."""


class Before:
    """Photos with chips and thumbnails, a report and a file of a snapshot, from before there was a wrapping key."""

    def __init__(self, catalog: Catalog, store: PhotoStore, folder: Path) -> None:
        self.catalog, self.store = catalog, store
        self.plain, self.vault = vaults.plain(store, catalog), vaults.sealed(store, catalog)
        self.held: dict[str, bytes] = {REPORT: b"<p>figures</p>", SEGMENT: bytes(200_000)}
        for n in range(3):
            data = b"\xff\xd8\xff\xe0" + bytes([n]) * 100_000
            photo = take(catalog, self.plain, data, folder)
            chip, thumbnail = (make(1, f"x{n}") for make in (keys.chip, keys.thumbnail))
            self.held |= {photo.object_key: data, chip: b"\xff\xd8\xff chip" + bytes([n]) * 9000}
            thumbnail = keys.thumbnail(photo.collection_id, photo.public_id)
            self.held[thumbnail] = b"\xff\xd8\xff small" + bytes([n]) * 900
            with catalog.transaction() as session:
                row = session.get_one(Photo, photo.id)
                row.thumbnail_key = thumbnail
                face = rows.face(session, row, None)
                face.public_id, face.chip_key = f"x{n}", chip
        self.unseal()

    def unseal(self) -> None:
        """Put everything as it was before."""
        with self.catalog.transaction() as session:
            session.execute(update(Photo).values(sealed_key=None, sealing_since=None))
            session.execute(delete(ObjectKey))
        self.store.put_many(list(self.held.items()))

    def seal(self, vault: Vault | None = None, **how: object) -> int:
        """As upkeep does, at a time when nobody is about to put what they made before."""
        return sealing.seal(self.catalog, vault or self.vault, **{"for_s": 60.0, "begun_for_s": -1.0, **how})  # type: ignore[arg-type]

    def read(self) -> Mapping[str, bytes | None]:
        """Everything, as whoever has the wrapping key reads it."""
        return dict(zip(self.held, self.vault.get_many(list(self.held)), strict=True))

    def lying(self) -> set[bool]:
        """Whether what lies there is sealed."""
        return {self.store.get(name).startswith(MAGIC) for name in self.held}

    def unsealed(self) -> int:
        """How many photos are not yet, by the catalog."""
        with self.catalog.reading() as session:
            return sealed.unsealed(session)


@pytest.fixture
def before(catalog: Catalog, photo_store: PhotoStore, tmp_path: Path) -> Before:
    return Before(catalog, photo_store, tmp_path)


def test_everything_from_before_is_sealed_and_reads_as_it_did(before: Before) -> None:
    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {False}, 3)

    done = before.seal()

    assert done == 5
    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {True}, 0)
    assert before.seal() == 0
    with pytest.raises(DamagedObject):  # From now on a plain one is no more than a stranger's.
        before.store.put(REPORT, b"<p>other</p>")
        before.vault.get(REPORT)


def test_without_a_wrapping_key_nothing_is_done(before: Before) -> None:
    assert before.seal(before.plain) == 0

    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {False}, 3)


def test_objects_are_overwritten_only_when_nobody_can_be_about_to_put_a_plain_one(before: Before) -> None:
    assert before.seal(begun_for_s=60.0) == 0
    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {False}, 3)
    late, sized = next(name for name in before.held if name.startswith("chips/")), before.vault.size(SEGMENT)
    before.store.put(late, before.held[late])  # By who had looked before there was a key.

    assert sized == 200_000
    assert before.seal() == 5

    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {True}, 0)


def test_ended_at_any_moment_and_run_again_it_ends_the_same(before: Before) -> None:
    for moment in ("keys given", "objects sealed", "photos sealed", "object sealed"):
        before.unseal()

        def passed(now: str, moment: str = moment) -> None:
            assert before.read() == before.held
            if now == moment:
                raise Ended

        with pytest.raises(Ended):
            before.seal(passed=passed)
        assert before.read() == before.held
        before.seal()

        assert (before.read(), before.lying(), before.unsealed()) == (before.held, {True}, 0)


def test_what_is_put_while_photos_are_being_sealed_is_sealed(before: Before) -> None:
    before.seal(begun_for_s=60.0)
    [chip, *_] = (name for name in before.held if name.startswith("chips/"))

    before.vault.put(chip, b"cut again")

    assert before.store.get(chip).startswith(MAGIC)
    assert before.vault.get(chip) == b"cut again"
    before.seal()
    assert before.vault.get(chip) == b"cut again"


def test_a_photo_that_is_deleted_while_it_is_sealed_leaves_nothing(before: Before) -> None:
    with before.catalog.reading() as session:
        photo = session.scalars(select(Photo).limit(1)).one()

    def passed(now: str) -> None:
        if now == "objects sealed":
            with before.catalog.transaction() as session:
                row = session.get(Photo, photo.id)
                if row is not None:
                    photo_rows.delete(session, row)
                    session.query(Removal).delete()

    before.seal(passed=passed)

    with before.catalog.reading() as session:
        noted = set(session.scalars(select(Removal.object_key)))
        assert session.scalar(select(Face).where(Face.photo_id == photo.id)) is None
    assert {photo.object_key, photo.thumbnail_key} <= noted
    assert len(noted) == 3


def test_keys_of_what_was_never_put_are_forgotten(
    catalog: Catalog, photo_store: PhotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = vaults.sealed(photo_store, catalog)
    vault.put(REPORT, b"<p>figures</p>")
    vault.put(SEGMENT, b"vectors")
    photo_store.delete(SEGMENT)

    assert sealing.forget_lost(catalog, vault) == 0
    monkeypatch.setattr(sealing, "_LOST_FOR_S", -60.0)
    assert sealing.forget_lost(catalog, vault) == 1

    assert vault.get(REPORT) == b"<p>figures</p>"
