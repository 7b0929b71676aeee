"""What the gateway remembers for searches: how many people there are is not counted at each of them."""

import pytest
from sqlalchemy.orm import Session

from services.catalog import collections
from services.catalog.schema import Collection
from services.gateway.doors import Known


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many people there are, as the catalog counts them: the last of these; one more for each time it was asked."""
    told = [1000]

    def enrolled(_session: Session, _collection_id: int) -> int:
        told.append(told[-1])
        return told[-1]

    monkeypatch.setattr(collections, "enrolled", enrolled)
    return told


@pytest.fixture
def gallery() -> Collection:
    return Collection(id=1, epoch="an epoch", round=0, head=5000)


def test_people_are_counted_anew_when_a_hundredth_may_have_changed(counted: list[int], gallery: Collection) -> None:
    known, session = Known(), Session()
    for head in range(5000, 5011):
        gallery.head = head
        assert known.people(session, gallery) == 1000
    assert len(counted) == 1 + 1
    counted[-1] = 1011
    gallery.head = 5011
    assert known.people(session, gallery) == 1011


def test_in_a_small_gallery_every_change_is_counted(counted: list[int], gallery: Collection) -> None:
    known, session = Known(), Session()
    for people in (0, 1, 2, 50):
        counted[-1] = people
        gallery.head += 1
        assert known.people(session, gallery) == people


@pytest.mark.parametrize("change", [{"epoch": "another"}, {"round": 1}, {"head": 0}])
def test_what_is_another_gallery_is_counted(
    change: dict[str, str | int], counted: list[int], gallery: Collection
) -> None:
    known, session = Known(), Session()
    assert known.people(session, gallery) == 1000
    counted[-1] = 7
    for name, value in change.items():
        setattr(gallery, name, value)
    assert known.people(session, gallery) == 7
