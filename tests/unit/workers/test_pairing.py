"""Training Siamese networks over folders, for real on a few people, and evaluated on others."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.torch import required

required()

from services.errors import InvalidRequest, InvalidTraining, NotFound  # noqa: E402
from workers import evaluating, tuning  # noqa: E402
from workers.folder_bench import FolderBench  # noqa: E402
from workers.models.bundle import Bundle  # noqa: E402
from workers.models.heads import Head  # noqa: E402

pytestmark = pytest.mark.slow

PEOPLE = 8
TINY = {"steps": 2, "people_a_batch": 3, "photos_a_person": 2, "features": 16, "validate_every": 2}

Bench = Callable[[Path | None], FolderBench]


@pytest.fixture(scope="module")
def people(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos each of eight people of Georgia Tech."""
    folder = tmp_path_factory.mktemp("people")
    for number in range(1, PEOPLE + 1):
        (folder / f"s{number}").mkdir()
        for photo in sorted((shared / "data" / "georgia_tech" / "cropped" / f"s{number}").glob("*.jpg"))[:3]:
            (folder / f"s{number}" / photo.name).symlink_to(photo)
    return folder


@pytest.fixture
def bench(bundle: Bundle, tmp_path: Path) -> Bench:
    """Workbenches over one folder, which tell nobody anything."""

    def made(dataset: Path | None) -> FolderBench:
        (tmp_path / "folder").mkdir(exist_ok=True)
        models, out = bundle.directory.parent, tmp_path / "out"
        return FolderBench(models, tmp_path / "folder", out, dataset, 50_000_000, lambda _: None)

    return made


def test_a_head_is_learnt_from_a_folder_and_judged_on_people_held_out(
    bench: Bench, people: Path, bundle: Bundle
) -> None:
    mine = bench(people)

    told = tuning.train({"method": "siamese", "network": "embedding"}, mine)

    kept = json.loads(mine.kept["head.json"].read_text("utf-8"))
    assert Head.of_json(kept, bundle.dimension).trained_on["model"] == bundle.digest
    assert kept == told["head"]
    assert told["faces"]["people"] == PEOPLE
    assert told["held_out"]["AUC"]["head"] > 0.95
    assert "s1" not in json.dumps(told)
    assert any("held out" in line for line in told["lines"])


def test_a_head_is_learnt_from_a_list_of_pairs(bench: Bench, people: Path, tmp_path: Path) -> None:
    photos = sorted(people.glob("*/*.jpg"))
    file = tmp_path / "pairs.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["path_a", "path_b", "same"])
        names = [str(photo.relative_to(people)) for photo in photos]
        rows.writerows(
            [a, b, int(Path(a).parent == Path(b).parent)] for i, a in enumerate(names) for b in names[i + 1 :: 2]
        )

    told = tuning.train({"method": "siamese", "pairs": str(file), "dataset": str(people)}, bench(None))

    assert told["network"] == "embedding"
    assert 0 < told["head"]["trained_on"]["pairs"] < len(photos) * (len(photos) - 1) // 2


def test_a_network_from_scratch_is_kept_and_can_be_evaluated(bench: Bench, people: Path) -> None:
    mine = bench(people)

    told = tuning.train({"method": "siamese", "network": "scratch", "recipe": TINY, "name": "twins"}, mine)
    folder = mine.kept["siamese.json"].parent
    figures = evaluating.evaluate(
        {"models": [str(folder)], "draws": 20, "trials": 50, "thumbnails": False}, bench(people)
    )

    assert told["course"]["steps"] == 2
    assert figures["models"][0]["name"] == "twins"
    assert figures["models"][0]["kind"] == "siamese-network"
    assert 0 <= figures["verification"]["auc"] <= 1


@pytest.mark.parametrize(
    ("wanted", "error", "told"),
    [
        ({"network": "triplet"}, InvalidRequest, "embedding and scratch"),
        ({"recipe": {"steps": 3}}, InvalidRequest, "no field 'steps'"),
        ({"network": "scratch", "recipe": {"rate": -1}}, InvalidRequest, "rate of a recipe"),
        ({"base": "nobody"}, NotFound, "nobody"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    bench: Bench, people: Path, wanted: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        tuning.train({"method": "siamese", **wanted}, bench(people))


def test_a_head_is_not_learnt_from_four_people_with_five_photos(bench: Bench, examples: Path) -> None:
    with pytest.raises(InvalidTraining, match="both kinds are needed"):
        tuning.train({"method": "siamese"}, bench(examples / "people"))


def test_a_network_from_few_people_says_that_nobody_was_held_out(bench: Bench, examples: Path) -> None:
    recipe = {**TINY, "people_a_batch": 2, "features": 4, "steps": 1}

    told = tuning.train({"method": "siamese", "network": "scratch", "recipe": recipe}, bench(examples / "people"))

    assert told["held_out"] is None
    assert any("evaluate it" in line for line in told["lines"])
