from pathlib import Path

import pytest

from services.errors import DiskFull
from tests.torch import required

torch = required()

from workers.training import checkpoints  # noqa: E402


def save(folder: Path, step: int) -> None:
    checkpoints.save(folder, step, {"weights": torch.full((3,), float(step))}, {"history": [step]})


def test_the_latest_checkpoint_is_found_with_its_tensors_and_its_state(tmp_path: Path) -> None:
    for step in (5, 10):
        save(tmp_path, step)

    found = checkpoints.latest(tmp_path)

    assert found is not None
    assert (found.step, found.tensors["weights"].tolist(), found.state) == (10, [10.0] * 3, {"history": [10]})


def test_there_is_none_in_an_empty_or_missing_folder(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    assert checkpoints.latest(tmp_path / "nowhere") is None


def test_the_one_before_is_kept_and_older_ones_go(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002.safetensors", "00000003.safetensors"]


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, None])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: bytes | None) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    last = tmp_path / "00000002.safetensors"
    last.write_bytes(last.read_bytes()[:-4] if damage is None else damage)

    found = checkpoints.latest(tmp_path)

    assert found is not None
    assert found.step == 1


def test_a_full_disk_is_said_so_and_the_checkpoint_before_stays_usable(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / "00000002.part").symlink_to("/dev/full")  # Whatever is written there finds no room.

    with pytest.raises(DiskFull, match=r"no room .* goes on from the last checkpoint \(00000001\.safetensors\)"):
        save(tmp_path, 2)

    found = checkpoints.latest(tmp_path)
    assert found is not None
    assert found.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.safetensors"]


def test_a_half_written_checkpoint_is_none(tmp_path: Path) -> None:
    (tmp_path / "00000007.part").write_bytes(b"half")

    assert checkpoints.latest(tmp_path) is None
