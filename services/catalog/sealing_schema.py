"""Rows of the keys that objects are sealed with, where they are not a photo's own."""

from sqlalchemy import Float, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Row, now


class ObjectKey(Row):
    """The key of an object, or of all objects below a name, that belong to no photo: snapshots, archives, reports."""

    __tablename__ = "object_keys"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The object's, or what the names of several begin with."""
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)
    """Wrapped: useless without the wrapping key, which is not in the catalog."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
