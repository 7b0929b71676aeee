"""A Siamese head attached to the service's model: verify says a probability, and searches can be ranked by it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.cli.service import Document, ServiceError
from tests.running import Running

pytestmark = pytest.mark.slow

_SEEN_WITHIN_S = 5.0
"""The gateway that a head was attached by sees it at once; others read a model anew after a minute."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head as a training writes it: the L1 distance, even odds at 14."""
    held = {
        "kind": "absolute-difference",
        "weights": base64.b64encode(np.full(512, -1.0, "<f4").tobytes()).decode(),
        "bias": 14.0,
        "trained_on": {"faces": {"people": 25}},
    }
    path = tmp_path_factory.mktemp("head") / "head.json"
    path.write_text(json.dumps(held), "utf-8")
    return path


@pytest.fixture
def attached(service: Running, head: Path, enrolled: str, examples: Path) -> Iterator[str]:
    """A collection whose model has the head."""
    done = service.colega("models", "attach", "casia-webface", str(head))
    assert done.returncode == 0, done.stderr
    one = examples / "queries" / "one.jpg"
    service.wait_until(lambda: _verified(service, enrolled, one, one)["probability"] is not None, _SEEN_WITHIN_S)
    yield enrolled
    service.colega("models", "detach", "casia-webface")


def _verified(service: Running, collection: str, a: Path, b: Path | None = None, **how: Any) -> Document:
    return {**service.client(collection).verify(a, b, **how)}


def test_verify_and_search_say_how_likely_it_is(service: Running, attached: str, examples: Path) -> None:
    one = examples / "queries" / "one.jpg"
    obama, biden = (examples / "people" / name / "1.jpg" for name in ("Barack Obama", "Joe Biden"))
    people = {p["name"]: p["id"] for p in service.client(attached).people.list()}

    same, other = _verified(service, attached, one, obama), _verified(service, attached, one, biden)
    person = _verified(service, attached, one, person_id=people["Barack Obama"])
    stranger = _verified(service, attached, one, person_id=people["Joe Biden"])
    plain = service.client(attached).search(examples / "queries" / "group.jpg")
    ranked: Document = {**service.client(attached).search(examples / "queries" / "group.jpg", rerank=True)}
    said = service.colega("search", str(examples / "queries" / "group.jpg"), "--rerank", collection=attached)

    assert 1 >= same["probability"] > 0.5 > other["probability"] >= 0
    assert 1 >= person["probability"] > 0.5 > stranger["probability"] >= 0
    assert all(match["probability"] is None for face in plain["faces"] for match in face["matches"])
    for before, after in zip(plain["faces"], ranked["faces"], strict=True):
        assert before["decision"] == after["decision"]
        order = [(not match["accepted"], -match["probability"]) for match in after["matches"]]
        assert order == sorted(order)
        known = {match["person"]["id"]: match["similarity"] for match in before["matches"]}
        assert {m["person"]["id"]: m["similarity"] for m in after["matches"]} == known
    assert "probability" in said.stdout


def test_two_kept_faces_are_judged_too(service: Running, attached: str) -> None:
    client = service.client(attached)
    faces = [person["face_id"] for person in client.people.list()]

    same = client.send("POST", "/v1/verify", body={"face_id_a": faces[0], "face_id_b": faces[0]})
    other = client.send("POST", "/v1/verify", body={"face_id_a": faces[0], "face_id_b": faces[1]})

    assert same["probability"] > 0.99
    assert other["probability"] < same["probability"]


def test_the_catalog_keeps_the_head_when_the_model_is_described_anew(service: Running, attached: str) -> None:
    shown = service.client().models.show("casia-webface")

    assert shown["head"] == {"faces": {"people": 25}}
    assert attached


def test_without_a_head_nothing_is_said_and_ranking_is_refused(service: Running, enrolled: str, examples: Path) -> None:
    one = examples / "queries" / "one.jpg"
    service.colega("models", "detach", "casia-webface")
    service.wait_until(lambda: _verified(service, enrolled, one, one)["probability"] is None, _SEEN_WITHIN_S)

    with pytest.raises(ServiceError, match="has no Siamese head"):
        service.client(enrolled).search(one, rerank=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights": base64.b64encode(b"\0" * 512).decode()}, "judges vectors of 128 numbers"),
        ({"weights": "never base64"}, "cannot be read"),
        ({"trained_on": {"model": "0" * 64}}, "trained on another model"),
    ],
)
def test_a_head_of_another_model_is_refused(service: Running, head: Path, change: Document, told: str) -> None:
    held = {**json.loads(head.read_text("utf-8")), **change}

    with pytest.raises(ServiceError, match=told):
        service.client().models.change("casia-webface", "head", {"head": held})


def test_a_file_without_a_head_is_refused_by_name(service: Running, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"kind": "poem"}', "utf-8")

    done = service.colega("models", "attach", "casia-webface", str(tmp_path / "other.json"))

    assert done.returncode == 2
    assert "other.json has no Siamese head" in " ".join(done.stderr.split())


def test_a_head_trained_on_a_collection_is_attached_and_can_be_evaluated(
    service: Running, gallery: str, shared: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    for number in range(1, 9):
        (tmp_path / "people" / f"s{number}").mkdir(parents=True)
        for photo in sorted((shared / "data" / "georgia_tech" / "cropped" / f"s{number}").glob("*.jpg"))[:3]:
            (tmp_path / "people" / f"s{number}" / photo.name).write_bytes(photo.read_bytes())
    imported = service.colega("import", str(tmp_path / "people"), collection=gallery)
    assert imported.returncode == 0, imported.stderr

    done = service.colega("train", "--method", "siamese", "--collection", gallery, "--attach", "--json")
    shown = service.client().models.show("casia-webface")
    evaluated = service.colega("evaluate", "--collection", gallery, "--json")
    service.colega("models", "detach", "casia-webface")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["held_out"]["AUC"]["head"] > 0.9
    assert shown["head"]["faces"]["people"] == 8
    assert shown["head"]["model"] == shown["digest"]
    assert evaluated.returncode == 0, evaluated.stderr
    assert [model["kind"] for model in json.loads(evaluated.stdout)["models"]] == ["cosine", "siamese-head"]
