"""int8 made anew with a gallery's faces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import Cancelled, InvalidRequest
from tests import nets
from workers import quantising
from workers.faces import chips
from workers.faces.values import Chip
from workers.folder_bench import FolderBench
from workers.galleries import Gallery
from workers.models import describing, foreign_bundle, variants
from workers.models.bundle import Bundle

pytestmark = pytest.mark.slow


@dataclass
class Bench(FolderBench):
    """Folders, and a gallery that is there already."""

    faces: Gallery | None = field(default=None)

    def gallery(self) -> Gallery:
        assert self.faces is not None
        return self.faces


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("models")
    return foreign_bundle.write(
        folder / "small",
        nets.embedder().SerializeToString(),
        describing.parse(nets.described()),
        name="small",
        licence="MIT",
        provenance={},
    )


def gallery(opened: Bundle, people: int, each: int) -> Gallery:
    """The reference chips with their brightness changed, so many of each of the first people."""
    rng = np.random.default_rng(5)
    reference, found, of = opened.chips(), [], []
    for person in range(people):
        for _ in range(each):
            chip = reference[person % len(reference)]
            pixels = chips.decode(chip.jpeg).astype(float) * rng.uniform(0.6, 1.3) + rng.normal(0, 6, (224, 224, 3))
            jpeg = chips.encode(np.clip(pixels, 0, 255).astype(np.uint8))
            found.append(Chip(jpeg, chip.map, chip.landmarks))
            of.append(person)
    names = [f"p{i}" for i in range(people)]
    return Gallery(found, np.array(of), names, [f"{i}.jpg" for i in range(len(found))])


def bench(tmp_path: Path, faces: Gallery, telling: Callable[[Mapping[str, Any]], None] = lambda _: None) -> Bench:
    (tmp_path / "scratch").mkdir()
    return Bench(tmp_path, tmp_path / "scratch", tmp_path / "results", None, 10**7, telling, faces=faces)


def test_the_loss_is_measured_on_people_it_was_not_made_with(opened: Bundle, tmp_path: Path) -> None:
    """And the model stays the same model."""
    told: list[Mapping[str, Any]] = []
    mine = bench(tmp_path, gallery(opened, 9, 20), told.append)

    result = quantising.quantise({"model": str(opened.directory)}, mine)

    made = Bundle.open(Path(result["model"]))
    assert made.digest == opened.digest
    assert result["int8"] == made.variants["int8"]
    assert result["int8"]["loss"]["measured_on"].startswith("5 people")
    assert result["int8"]["loss"]["least"] >= 0.995
    assert result["int8"]["tmr"]["int8"] == pytest.approx(result["int8"]["tmr"]["fp32"], abs=0.05)
    assert made.embedder("int8").agreement >= 0.998
    assert {one["stage"] for one in told} == {"quantising", "measuring"}


def test_of_the_old_int8_and_the_new_one_the_nearer_to_fp32_stays(opened: Bundle, tmp_path: Path) -> None:
    """Made anew once more from the same faces, neither is nearer, and what was measured is the same."""
    faces = gallery(opened, 9, 20)
    first = quantising.quantise({"model": str(opened.directory)}, bench(tmp_path, faces))
    (tmp_path / "again").mkdir()

    second = quantising.quantise({"model": first["model"]}, bench(tmp_path / "again", faces))

    assert second["int8"]["loss"] == first["int8"]["loss"]
    before = opened.variants["int8"]["made_with"]
    assert first["int8"]["made_with"] in {before, "80 faces of a gallery, and the reference chips"}


def test_an_int8_that_is_too_far_from_fp32_is_left_out_with_the_reason(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if nothing less than sameness would do."""
    monkeypatch.setattr(variants, "LEAST_ON_OTHERS", 1.0)

    result = quantising.quantise({"model": str(opened.directory)}, bench(tmp_path, gallery(opened, 4, 8)))

    made = Bundle.open(Path(result["model"]))
    assert result["int8"]["files"] == []
    assert "1.0 is needed" in result["int8"]["why"]
    assert made.embedder().variant == "fp32"


@pytest.mark.parametrize(("people", "each"), [(1, 30), (3, 2)])
def test_too_few_faces_or_people_are_refused(opened: Bundle, tmp_path: Path, people: int, each: int) -> None:
    with pytest.raises(InvalidRequest, match="at least 20 of two or more"):
        quantising.quantise({"model": str(opened.directory)}, bench(tmp_path, gallery(opened, people, each)))


def test_it_ends_when_nobody_wants_it(opened: Bundle, tmp_path: Path) -> None:
    """And leaves nothing among the results."""

    def telling(progress: Mapping[str, Any]) -> None:
        if progress["stage"] == "measuring":
            raise Cancelled("Nobody wants it.")

    with pytest.raises(Cancelled):
        quantising.quantise({"model": str(opened.directory)}, bench(tmp_path, gallery(opened, 4, 8), telling))

    assert not (tmp_path / "results").exists()
