"""Retaining: people whose time in a collection is over are erased, and photos of nobody are deleted."""

from sqlalchemy import select

from services.broker.waking import Waking
from services.catalog import collections, people, photos
from services.catalog.engine import Catalog
from services.catalog.erasing import retention
from services.catalog.erasing.ledger import WITHIN_S, Asking
from services.catalog.schema import Photo
from services.errors import NotFound
from services.logs import logger

_PEOPLE_AT_ONCE = 20
_PHOTOS_AT_ONCE = 50
MOST_AT_A_TIME = 2000
"""People erased, and photos deleted, before others get their turn."""


def retain(catalog: Catalog, waking: Waking | None, *, most_share: float, within_s: float = WITHIN_S) -> int:
    """Erase whose time is over, some in a transaction; what is left is done next time.

    Where too many are due at once, nobody is erased before it is confirmed: a wrong clock, or a slip of somebody's hand, is likelier.

    Args:
        catalog: Where the rows are; by its clock.
        waking: Wakes searchers; None: nobody does.
        most_share: Of a collection's people that are erased without confirmation.
        within_s: By when nothing of them may be left anywhere.

    Returns:
        How many people were erased.
    """
    asking = Asking("expired", within_s=within_s)
    with catalog.reading() as session:
        names = [each.name for each in collections.all_of(session) if not retention.is_quiet(session, each)]
    erased = sum(_erase(catalog, name, most_share, asking) for name in names)
    if erased:
        logger().info("retention.applied", people=erased)
        if waking is not None:
            waking.wake()
    return erased


def delete_photos_of_nobody(catalog: Catalog, days: float, within_s: float = WITHIN_S) -> int:
    """Delete photos that show nobody who is known and nobody who waits for review, so many days after they came.

    Returns:
        How many were deleted.
    """
    asking, deleted = Asking("expired", within_s=within_s), 0
    with catalog.reading() as session:
        wanted = select(Photo.id).where(retention.shows_nobody(days)).order_by(Photo.id).limit(MOST_AT_A_TIME)
        numbers = list(session.scalars(wanted))
    for start in range(0, len(numbers), _PHOTOS_AT_ONCE):
        with catalog.transaction() as session:
            some = (Photo.id.in_(numbers[start : start + _PHOTOS_AT_ONCE]), retention.shows_nobody(days))
            for photo in session.scalars(select(Photo).where(*some).order_by(Photo.id).with_for_update()).all():
                photos.erase(session, photo, asking)
                deleted += 1
    if deleted:
        logger().info("photos_of_nobody.deleted", photos=deleted)
    return deleted


def _erase(catalog: Catalog, name: str, most_share: float, asking: Asking) -> int:
    with catalog.transaction() as session:
        due = retention.look(session, collections.by_name(session, name), most_share)
    if due.held:
        logger().warning("retention.held", collection=name, people=due.held)
    erased = 0
    while erased < min(due.people, MOST_AT_A_TIME):
        with catalog.transaction() as session:
            collection = collections.by_name(session, name)
            found = retention.some(session, collection, due.before, _PEOPLE_AT_ONCE)
            gone = 0
            for person in found:
                try:
                    people.erase(session, person, asking)
                except NotFound:
                    continue  # Somebody was quicker.
                gone += 1
            if not gone:
                break
            retention.erased(session, collection, gone)
        erased += gone
    return erased
