"""A day and a time as people write them."""

from datetime import UTC, datetime

import pytest

from services import moments
from services.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2027-12-31", "2027-12-31T00:00:00", "2028-01-01T00:00:00"),
        (" 2028-02-29 ", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("2027-12-31T17:00:00+01:00", "2027-12-31T16:00:00", "2027-12-31T16:00:00"),
        ("2027-12-31T17:00:00Z", "2027-12-31T17:00:00", "2027-12-31T17:00:00"),
    ],
)
def test_a_day_begins_and_ends_and_a_time_is_a_moment(text: str, begins: str, ends: str) -> None:
    assert moments.begin(text, "x") == datetime.fromisoformat(begins).replace(tzinfo=UTC).timestamp()
    assert moments.end(text, "x") == datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "31.12.2027", "2027-13-01", "2027-12-31T17:00:00", "9999-12-31", "20271"]
)
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidRequest, match="give a day like"):
        moments.end(text, "expires_at")


def test_the_last_day_is_the_one_that_was_written() -> None:
    assert moments.last_day(moments.end("2027-12-31", "x")) == "2027-12-31"
