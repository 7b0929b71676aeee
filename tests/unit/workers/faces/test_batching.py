"""Batches that shrink where memory ends."""

from collections.abc import Sequence

import pytest

from services.errors import DeviceFull
from workers.faces.batching import Batches, NoRoom


class Narrow:
    """A device with room for so many."""

    def __init__(self, room: int) -> None:
        self.room, self.tried = room, list[int]()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.tried.append(len(items))
        if len(items) > self.room:
            raise NoRoom
        return [item * 10 for item in items]


def test_a_batch_without_room_is_tried_again_in_halves() -> None:
    device, batches = Narrow(room=3), Batches(8, "faces")

    found = [(start, result) for start, result in batches.through(device, [1, 2, 3, 4, 5])]

    assert found == [(0, [10, 20]), (2, [30, 40]), (4, [50])]
    assert device.tried == [5, 2, 2, 1]


def test_what_had_no_room_is_not_tried_again_later() -> None:
    device, batches = Narrow(room=3), Batches(8, "faces")
    list(batches.through(device, range(8)))
    device.tried.clear()

    list(batches.through(device, range(8)))

    assert batches.size == 2
    assert device.tried == [2, 2, 2, 2]


def test_a_device_without_room_for_one_is_said_to_be_full() -> None:
    with pytest.raises(DeviceFull, match="single one of the faces"):
        list(Batches(4, "faces").through(Narrow(room=0), [1, 2, 3]))


def test_nothing_is_asked_of_the_device_for_nothing() -> None:
    device = Narrow(room=1)

    assert list(Batches(4, "faces").through(device, [])) == []
    assert device.tried == []
