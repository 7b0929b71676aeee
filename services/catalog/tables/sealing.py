"""Rows of the keys that objects are sealed with, where they are not a photo's own."""

from sqlalchemy import Float, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Row, now


class ObjectKey(Row):
    """The key of an object that belongs to no photo: a file of a snapshot, an archive, a report."""

    __tablename__ = "object_keys"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The object's."""
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    """Wrapped: useless without the wrapping key, which is not in the catalog."""
    sealing_since: Mapped[float | None]
    """Set while the object may still lie there as it came."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class WrappingKey(Row):
    """A wrapping key that keys may be wrapped under: which it is, and something by which to see that it is the right one."""

    __tablename__ = "wrapping_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    """The first 8 bytes of its SHA-256, hexadecimal."""
    check_value: Mapped[bytes] = mapped_column(LargeBinary)
    """A key of nothing, wrapped under it."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
