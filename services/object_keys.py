"""Which objects are sealed, and which key the catalog has for each: both follow from their names."""

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from services.catalog import sealed
from services.catalog.sealed import Keyed
from services.photos import keys

OWN = (keys.SNAPSHOTS, keys.ARCHIVES, keys.REPORTS)
"""Kinds of objects that have a key of their own each."""

OF_PHOTOS = (keys.PHOTOS, keys.THUMBNAILS, keys.CHIPS)
"""Kinds of objects that have a photo's key."""

UNKNOWN = Keyed("", None, may_be_plain=False)
"""Of what no row names: models, what was deleted meanwhile, and what is there from before objects were sealed."""

_LOOKUPS: tuple[tuple[str, Callable[[Session, set[str]], dict[str, Keyed]], Callable[[str], str]], ...] = (
    (f"{keys.PHOTOS}/", sealed.of_photos, lambda name: name),
    (f"{keys.THUMBNAILS}/", sealed.of_thumbnails, lambda name: name.rpartition("/")[2]),
    (f"{keys.CHIPS}/", sealed.of_chips, lambda name: name.rpartition("/")[2].partition(".")[0]),
    *((f"{kind}/", sealed.of_objects, lambda name: name) for kind in OWN),
)
"""By kind, what the catalog knows such objects by, and how that follows from the name."""


def kind_of(name: str) -> str:
    """The first part of an object's name."""
    return name.partition("/")[0]


def is_sealed(name: str) -> bool:
    """Whether an object of that name is sealed, where there is a wrapping key."""
    return kind_of(name) in OWN or kind_of(name) in OF_PHOTOS


def found_of(session: Session, names: Sequence[str]) -> dict[str, Keyed]:
    """What the catalog says of objects, by their names; one question for each kind of them. What no row names is left out."""
    keyed: dict[str, Keyed] = {}
    for kind, of, known_by in _LOOKUPS:
        mine = {name: known_by(name) for name in names if name.startswith(kind)}
        rows = of(session, set(mine.values())) if mine else {}
        keyed |= {name: rows[known] for name, known in mine.items() if known in rows}
    return keyed
