"""Moments as people write them: a day, or a time with its offset from UTC."""

from datetime import UTC, date, datetime, timedelta

from services.errors import InvalidRequest

_DAY = len("2027-12-31")


def begin(text: str, field: str) -> float:
    """Seconds since 1970 UTC of a time; of a day, when it begins.

    Raises:
        InvalidRequest: It is neither, or says no offset.
    """
    return _read(text, field, timedelta(0))


def end(text: str, field: str) -> float:
    """Seconds since 1970 UTC of a time; of a day, when it is over.

    Raises:
        InvalidRequest: It is neither, or says no offset.
    """
    return _read(text, field, timedelta(days=1))


def last_day(moment: float) -> str:
    """The day that :func:`end` reads as *moment*, where it is one; else the day of it, UTC."""
    return datetime.fromtimestamp(moment - 1.0, UTC).date().isoformat()


def _read(text: str, field: str, more: timedelta) -> float:
    text = text.strip()
    try:
        if len(text) <= _DAY:
            day = date.fromisoformat(text)
            return (datetime(day.year, day.month, day.day, tzinfo=UTC) + more).timestamp()
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(
        f"{field}: give a day like 2027-12-31, or a time with its offset like 2027-12-31T17:00:00+01:00."
    )
