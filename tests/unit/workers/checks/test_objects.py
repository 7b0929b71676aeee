"""What rows name, held against what the store shows."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.photos.store import Stored
from workers.checks.objects import Expected

KEYS = st.integers(0, 20).map(lambda n: f"chips/1/fac_{n}")


def stored(key: str, size_bytes: int = 9) -> Stored:
    return Stored(key, size_bytes, datetime.now(UTC))


@given(st.lists(KEYS), st.lists(KEYS, unique=True), st.integers(1, 5))
def test_each_row_meets_its_object_and_each_object_its_row(rows: list[str], there: list[str], page: int) -> None:
    expected = Expected()
    for number, key in enumerate(rows):
        expected.add(key, number)

    strangers: list[str] = []
    for start in range(0, len(there), page):
        strangers += [found.key for found in expected.meet([stored(key) for key in there[start : start + page]])]

    assert strangers == [key for key in there if key not in rows]
    assert expected.missing() == [number for number, key in enumerate(rows) if key not in there]
    assert expected.odd() == []


def test_an_object_of_another_size_or_of_none_is_odd() -> None:
    expected = Expected()
    expected.add("photos/1/as it was", 1, 9)
    expected.add("photos/1/longer", 2, 8)
    expected.add("chips/1/empty", 3)
    expected.add("chips/1/whole", 4)

    expected.meet([stored("photos/1/as it was"), stored("photos/1/longer")])
    expected.meet([stored("chips/1/empty", 0), stored("chips/1/whole")])

    assert (expected.odd(), expected.missing()) == ([2, 3], [])


def test_a_store_that_shows_nothing_leaves_every_row_alone() -> None:
    expected = Expected()
    expected.add("photos/1/one", 1)

    assert expected.missing() == [1]
    assert Expected().missing() == []
