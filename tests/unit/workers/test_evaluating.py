"""Evaluating: from photos to a report, with the real detector and the real model."""

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import Cancelled, InvalidRequest, NotFound
from workers.evaluating import evaluate
from workers.folder_bench import FolderBench
from workers.models.bundle import DESCRIPTION, Bundle

pytestmark = pytest.mark.slow
SMALL = {"draws": 50, "trials": 100}


@pytest.fixture
def bench(bundle: Bundle, examples: Path, tmp_path: Path) -> FolderBench:
    """The four people who come with the repository."""
    return FolderBench(
        models=bundle.directory.parent,
        folder=tmp_path / "scratch",
        output=tmp_path / "output",
        dataset=examples / "people",
        max_pixels=50_000_000,
        telling=lambda progress: None,  # noqa: ARG005
    )


def test_four_people_are_evaluated_and_told_what_cannot_be_said(bench: FolderBench) -> None:
    """Five photos give no rates, a report all the same, and a reason for each null."""
    result = evaluate(SMALL, bench)

    assert result["source"] | {"undetected": 0, "unreadable": 0} == {
        "kind": "collection",
        "people": 4,
        "people_told_apart": True,
        "people_with_two_photos": 1,
        "photos": 5,
        "faces": 5,
        "undetected": 0,
        "unreadable": 0,
    }
    assert result["verification"]["tmr_at_fmr"] == {"1e-2": None, "1e-3": None, "1e-4": None, "1e-5": None}
    assert len(result["not_said"]) >= 10
    page = bench.kept["report.html"].read_text("utf-8")
    assert "What cannot be said" in page
    assert json.loads(bench.kept["figures.json"].read_text("utf-8")) == result


def test_two_variants_are_compared_side_by_side(bench: FolderBench) -> None:
    """Each by its own name, the first one's figures at the top."""
    told: list[Mapping[str, Any]] = []
    bench.telling = told.append

    result = evaluate({**SMALL, "models": ["casia-webface@fp32", "casia-webface@int8"]}, bench)

    assert [model["name"] for model in result["models"]] == ["casia-webface fp32", "casia-webface int8"]
    assert result["models"][0]["verification"] == result["verification"]
    assert result["models"][1]["difference_to_first"] == {"tmr_at_fmr": {}, "tmr_at_fmr_interval": {}}
    assert {progress["stage"] for progress in told} == {"photos", "vectors", "figures", "report"}


def test_a_head_is_a_further_judge(bench: FolderBench, copied: Path) -> None:
    """A bundle with a Siamese head is measured by the cosine and by the head."""
    described = json.loads((copied / DESCRIPTION).read_text("utf-8"))
    weights = base64.b64encode(np.full(512, -1, "<f4").tobytes()).decode()
    described["head"] = {"kind": "absolute-difference", "weights": weights, "bias": 10.0, "trained_on": {}}
    (copied / DESCRIPTION).unlink()
    (copied / DESCRIPTION).write_text(json.dumps(described), "utf-8")

    result = evaluate({**SMALL, "models": [str(copied)]}, bench)

    assert [(model["name"], model["kind"]) for model in result["models"]] == [
        ("casia-webface", "cosine"),
        ("casia-webface + Siamese head", "siamese-head"),
    ]


def test_a_list_of_pairs_is_evaluated_with_its_folds(bench: FolderBench, examples: Path, tmp_path: Path) -> None:
    """Relative to a directory of its own."""
    rows = ["Barack Obama/1.jpg,Barack Obama/2.jpg,1,1", "Barack Obama/1.jpg,Joe Biden/1.jpg,0,1"]
    rows += ["Barack Obama/2.jpg,Barack Obama/1.jpg,1,2", "Joe Biden/1.jpg,Grace Hopper/1.jpg,0,2"]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\n".join(["path_a,path_b,same,lfw_fold", *rows]), "utf-8")

    result = evaluate({**SMALL, "pairs": str(pairs), "dataset": str(examples / "people")}, bench)

    assert result["verification"]["accuracy"] == {"mean": 1.0, "std": 0.0, "folds": 2, "pairs": 4}
    assert result["source"]["kind"] == "pairs"


def test_a_set_of_some_size_has_all_figures_and_groups(bench: FolderBench, shared: Path, tmp_path: Path) -> None:
    """Twenty-four people of Georgia Tech; the model knows them apart but for a photo in which no face is found."""
    dataset, rows = tmp_path / "people", ["person,side"]
    for number in range(1, 25):
        (dataset / f"s{number}").mkdir(parents=True)
        for photo in sorted((shared / "data" / "georgia_tech" / "cropped" / f"s{number}").glob("*.jpg"))[:4]:
            shutil.copy(photo, dataset / f"s{number}")
        rows.append(f"s{number},{'left' if number % 2 else 'right'}")
    bench.dataset = dataset
    (tmp_path / "groups.csv").write_text("\n".join(rows), "utf-8")

    result = evaluate({**SMALL, "dataset": str(dataset), "groups": str(tmp_path / "groups.csv")}, bench)

    assert result["verification"]["tmr_at_fmr"]["1e-2"] > 0.95
    assert result["identification"]["rank1"] > 0.95
    assert result["n_way"]["20"] > 0.95
    assert result["n_way"]["50"] is None
    assert [group["people"] for group in result["groups"][0]["groups"]] == [12, 12]
    assert {"report.html", "figures.json", "roc.png", "det.png", "cmc.png"} <= bench.kept.keys()


def test_groups_may_come_with_the_request(bench: FolderBench) -> None:
    """By people's names; where no threshold can be set, that is said."""
    result = evaluate({**SMALL, "groups": {"Barack Obama": {"party": "x"}, "Grace Hopper": {"party": "y"}}}, bench)

    assert result["groups"] == []
    assert "not enough pairs" in result["not_said"]["groups"]
    assert any("2 of 5 photos have no party" in note for note in result["notes"])


def test_who_does_not_want_the_rest_is_heard(bench: FolderBench) -> None:
    """At the next step."""

    def no_more(progress: Mapping[str, Any]) -> None:
        raise Cancelled(str(progress))

    bench.telling = no_more

    with pytest.raises(Cancelled):
        evaluate(SMALL, bench)


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ({"models": ["nobody"]}, NotFound, "nobody"),
        ({"pairs": "nowhere.csv"}, NotFound, "nowhere"),
        ({"groups": "nowhere.csv"}, NotFound, "nowhere"),
        ({"draws": 0}, InvalidRequest, "draws is 0"),
        ({"trials": "many"}, InvalidRequest, "trials is 'many'"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(
    bench: FolderBench, wanted: dict[str, Any], error: type[Exception], says: str
) -> None:
    """By what is wrong with it."""
    with pytest.raises(error, match=says):
        evaluate({**SMALL, **wanted}, bench)
