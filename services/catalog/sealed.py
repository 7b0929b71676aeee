"""What objects are sealed with: their keys, wrapped. Which key an object has follows from its name.

Photo, thumbnail and chips of a photo have the photo's key, in every round; what belongs to no photo has one of its own.
"""

from collections.abc import Collection as Some
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import LargeBinary, Select, Update, bindparam, delete, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.catalog.engine import upsert
from services.catalog.schema import Face, Photo, now
from services.catalog.tables.sealing import ObjectKey, WrappingKey


class Keyed(NamedTuple):
    """The key that an object has by the catalog."""

    purpose: str
    """What it was wrapped for: a photo's id, or the object's name."""
    wrapped: bytes | None
    """None: the object is kept as it came."""
    may_be_plain: bool
    """It is being sealed: until that is over the object may lie there as it came."""


_PHOTO = (Photo.public_id, Photo.sealed_key, Photo.sealing_since)


def of_photos(session: Session, object_keys: Some[str]) -> dict[str, Keyed]:
    """Of raw photos, by the object's name; what no row names is left out."""
    return _by_name(session, select(Photo.object_key, *_PHOTO).where(Photo.object_key.in_(object_keys)))


def of_thumbnails(session: Session, photo_ids: Some[str]) -> dict[str, Keyed]:
    """Of thumbnails, by the photo's public id."""
    return _by_name(session, select(Photo.public_id, *_PHOTO).where(Photo.public_id.in_(photo_ids)))


def of_chips(session: Session, face_ids: Some[str]) -> dict[str, Keyed]:
    """Of chips, by the face's public id, which is the same in all rounds."""
    wanted = select(Face.public_id, *_PHOTO).join(Photo, Photo.id == Face.photo_id)
    return _by_name(session, wanted.where(Face.public_id.in_(face_ids)).distinct())


def of_photo_rows(session: Session, numbers: Some[int]) -> dict[int, Keyed]:
    """Of the objects of photos, by the photos' numbers."""
    found = session.execute(select(Photo.id, *_PHOTO).where(Photo.id.in_(numbers)))
    return {number: Keyed(public_id, key, since is not None) for number, public_id, key, since in found}


def of_objects(session: Session, names: Some[str]) -> dict[str, Keyed]:
    """Of objects that belong to no photo, by their names."""
    wanted = select(ObjectKey.name, ObjectKey.name, ObjectKey.sealed_key, ObjectKey.sealing_since)
    return _by_name(session, wanted.where(ObjectKey.name.in_(names)))


def give(session: Session, name: str, wrapped: bytes, *, may_be_plain: bool = False) -> Keyed:
    """The key of an object that belongs to no photo; *wrapped* where it has none yet."""
    since = now() if may_be_plain else None
    new = upsert(session, ObjectKey).values(name=name, sealed_key=wrapped, sealing_since=since, created_at=now())
    session.execute(new.on_conflict_do_nothing(index_elements=["name"]))
    return of_objects(session, [name])[name]


def forget(session: Session, names: Some[str]) -> None:
    """Delete keys of objects that belong to no photo: what is left of the objects cannot be opened any more."""
    session.execute(delete(ObjectKey).where(ObjectKey.name.in_(names)))


# --- sealing what is plain --------------------------------------------------------------------------------------------


class Objects(NamedTuple):
    """A photo that is being sealed, and its objects."""

    id: int
    keyed: Keyed
    names: list[str]


def plain(session: Session, limit: int) -> list[tuple[int, str]]:
    """Numbers and public ids of photos whose objects are kept as they came."""
    found = session.execute(select(Photo.id, Photo.public_id).where(Photo.sealed_key.is_(None)).limit(limit))
    return [(number, public_id) for number, public_id in found]


def begin(session: Session, wrapped: Mapping[int, bytes]) -> None:
    """Give photos a key, each by its number; from now on what is put is sealed, and what is there may be plain."""
    mine = update(Photo).where(Photo.id == bindparam("number"), Photo.sealed_key.is_(None))
    values = [{"number": number, "key": key} for number, key in sorted(wrapped.items())]
    _of_many(session, mine.values(sealed_key=bindparam("key"), sealing_since=now()), values)


def begun(session: Session, *, for_s: float, after: int, limit: int) -> list[Objects]:
    """Photos whose sealing began *for_s* ago or longer, by number, with all objects that rows name."""
    mine = (Photo.sealing_since <= now() - for_s, Photo.id > after)
    photos = session.scalars(select(Photo).where(*mine).order_by(Photo.id).limit(limit)).all()
    cut = select(Face.photo_id, Face.chip_key).where(Face.photo_id.in_([p.id for p in photos]))
    rows = session.execute(cut.where(Face.chip_key.is_not(None)).distinct().order_by(Face.photo_id))
    chips = {number: [key for _, key in some] for number, some in groupby(rows, lambda row: row[0])}
    return [
        Objects(
            photo.id,
            Keyed(photo.public_id, photo.sealed_key, may_be_plain=True),
            [name for name in (photo.object_key, photo.thumbnail_key, *chips.get(photo.id, [])) if name is not None],
        )
        for photo in photos
    ]


def end(session: Session, photo_id: int) -> bool:
    """Say that every object of a photo is sealed. False: it was deleted meanwhile."""
    row = session.scalar(select(Photo).where(Photo.id == photo_id).with_for_update())
    if row is not None:
        row.sealing_since = None
    return row is not None


def begun_objects(session: Session, *, for_s: float, limit: int) -> dict[str, Keyed]:
    """As :func:`begun`, of objects that belong to no photo, by name."""
    wanted = select(ObjectKey.name, ObjectKey.name, ObjectKey.sealed_key, ObjectKey.sealing_since)
    return _by_name(session, wanted.where(ObjectKey.sealing_since <= now() - for_s).limit(limit))


def end_object(session: Session, name: str) -> None:
    """Say that an object that belongs to no photo is sealed."""
    session.execute(update(ObjectKey).where(ObjectKey.name == name).values(sealing_since=None))


def without_object(session: Session, there: Some[str], *, older_than_s: float) -> list[str]:
    """Names of objects that have a key for so long and are not *there*."""
    old = session.scalars(select(ObjectKey.name).where(ObjectKey.created_at < now() - older_than_s))
    return [name for name in old if name not in there]


def unsealed(session: Session) -> int:
    """How many photos have objects that are kept as they came, or may be."""
    there = select(func.count()).select_from(Photo).where(Photo.sealed_key.is_(None))
    under_way = select(func.count()).select_from(Photo).where(Photo.sealing_since.is_not(None))
    return (session.scalar(there) or 0) + (session.scalar(under_way) or 0)


# --- wrapping keys ----------------------------------------------------------------------------------------------------


class Wrapped(NamedTuple):
    """A key as it lies in the catalog."""

    row: int | str
    purpose: str
    wrapped: bytes


def registered(session: Session) -> dict[str, bytes]:
    """The wrapping keys that something may be wrapped under: by id, the value by which to see that it is the right one."""
    return {row.id: row.check_value for row in session.scalars(select(WrappingKey).order_by(WrappingKey.created_at))}


def register(session: Session, wrapping_id: str, check_value: bytes) -> None:
    """Note that keys may be wrapped under *wrapping_id* from now on."""
    new = upsert(session, WrappingKey).values(id=wrapping_id, check_value=check_value, created_at=now())
    session.execute(new.on_conflict_do_nothing(index_elements=["id"]))


def unregister(session: Session, wrapping_ids: Some[str]) -> None:
    """Note that nothing is wrapped under these any more."""
    session.execute(delete(WrappingKey).where(WrappingKey.id.in_(wrapping_ids)))


def counted(session: Session, at: int, size: int) -> dict[str, int]:
    """How many keys are wrapped under each wrapping key; its id stands in a wrapped key at byte *at*."""
    counts: dict[str, int] = {}
    for table, column in ((Photo, Photo.sealed_key), (ObjectKey, ObjectKey.sealed_key)):
        under = func.substr(column, at + 1, size, type_=LargeBinary())
        wanted = select(under, func.count()).select_from(table).where(column.is_not(None)).group_by(under)
        for wrapping_id, count in session.execute(wanted):
            counts[bytes(wrapping_id).hex()] = counts.get(bytes(wrapping_id).hex(), 0) + count
    return counts


def others(session: Session, newest: bytes, at: int, limit: int) -> Iterator[Sequence[Wrapped]]:
    """Keys that are not wrapped under *newest*, first those of photos, then the others, at most *limit* of each."""
    photos = select(Photo.id, Photo.public_id, Photo.sealed_key).order_by(Photo.id)
    objects = select(ObjectKey.name, ObjectKey.name, ObjectKey.sealed_key).order_by(ObjectKey.name)
    for wanted, column in ((photos, Photo.sealed_key), (objects, ObjectKey.sealed_key)):
        under = func.substr(column, at + 1, len(newest), type_=LargeBinary())
        found = session.execute(wanted.where(column.is_not(None), under != newest).limit(limit))
        yield [Wrapped(row, purpose, bytes(key or b"")) for row, purpose, key in found]


def replace(
    session: Session, photos: Sequence[tuple[Wrapped, bytes]], objects: Sequence[tuple[Wrapped, bytes]]
) -> None:
    """Put other wrappings in place of those that were read; one that was replaced meanwhile stays."""
    _swap(session, Photo.id, Photo.sealed_key, photos)
    _swap(session, ObjectKey.name, ObjectKey.sealed_key, objects)


def _swap(
    session: Session,
    row: InstrumentedAttribute[int] | InstrumentedAttribute[str],
    column: InstrumentedAttribute[bytes] | InstrumentedAttribute[bytes | None],
    wrapped: Sequence[tuple[Wrapped, bytes]],
) -> None:
    mine = update(row.class_).where(row == bindparam("row"), column == bindparam("old"))
    values = [{"row": one.row, "old": one.wrapped, "new": new} for one, new in wrapped]
    _of_many(session, mine.values({column: bindparam("new")}), values)


def _of_many(session: Session, statement: Update, values: Sequence[Mapping[str, object]]) -> None:
    if values:
        session.connection().execute(statement, list(values))


def _by_name(session: Session, wanted: Select[str, str, bytes | None, float | None]) -> dict[str, Keyed]:
    found = session.execute(wanted)
    return {name: Keyed(purpose, key, since is not None) for name, purpose, key, since in found}
