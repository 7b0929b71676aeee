from pathlib import Path

import pytest
import typer

from services.cli import computing, evaluating, training
from services.errors import InvalidRequest


def test_what_is_told_is_a_line_of_text() -> None:
    told = {
        "stage": "training",
        "step": 120,
        "steps": 300,
        "eta_s": 41.3,
        "loss": 0.03125,
        "active": 0.5,
        "model": None,
    }

    assert computing.told(told) == "training 120/300 loss 0.0312, active 0.5 41 s left"
    assert computing.told({}) == ""


def test_a_recipe_is_numbers_and_words() -> None:
    assert training._recipe(["steps=600", "rate=1e-4", "mining=batch-hard"]) == {
        "steps": 600,
        "rate": 1e-4,
        "mining": "batch-hard",
    }


@pytest.mark.parametrize("wrong", ["steps", "=3", "steps="])
def test_half_a_choice_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match="KEY=VALUE"):
        training._recipe([wrong])


def test_faces_come_from_one_place() -> None:
    assert evaluating.one_source(None, None, None) == "default"
    assert evaluating.one_source(None, Path("photos"), None) is None
    with pytest.raises(InvalidRequest, match="not both"):
        evaluating.one_source(Path("pairs.csv"), None, "staff")


def test_a_path_is_handed_on_as_it_is_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()

    assert evaluating.on_disk(dataset=Path("photos"), pairs=None) == {"dataset": str(tmp_path / "photos")}
    with pytest.raises(typer.BadParameter, match="is not there"):
        evaluating.on_disk(dataset=Path("none"))


def test_groups_are_read_by_person(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("﻿person,site,age\nÁna,Lima,40\nBen,Quito,\n", encoding="utf-8")

    assert evaluating._groups(table) == {"Ána": {"site": "Lima", "age": "40"}, "Ben": {"site": "Quito", "age": ""}}


@pytest.mark.parametrize("content", [b"", b"name,site\nAna,Lima\n", b"person\xff,site\n"])
def test_a_table_without_people_is_refused(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "groups.csv"
    table.write_bytes(content)

    with pytest.raises(InvalidRequest, match=r"groups\.csv"):
        evaluating._groups(table)
