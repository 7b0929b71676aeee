"""Models that people bring along: added, tried, made the default, searched with, retired and removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.service import Document, ServiceError
from tests import nets
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def the_default_again(service: Running) -> Iterator[None]:
    """What a test has activated is the default of no other test."""
    yield
    service.client().models.change("casia-webface", "activate", {})


@pytest.fixture
def described(tmp_path: Path) -> Path:
    path = tmp_path / "net.yaml"
    path.write_text(nets.described(), "utf-8")
    return path


def add(service: Running, name: str, seed: int, described: Path, *more: str) -> Document:
    """A small embedder, added as a user does."""
    path = described.with_name(f"{name}.onnx")
    path.write_bytes(nets.embedder(seed=seed).SerializeToString())
    done = service.colega("models", "add", str(path), "--name", name, "--describe", str(described), "--json", *more)
    assert done.returncode == 0, done.stderr + done.stdout
    (model,) = json.loads(done.stdout)
    return dict(model)


def test_another_embedder_serves_a_collection(service: Running, described: Path, examples: Path) -> None:
    """From the file to a search: 128 numbers a face, five points, an int8 variant of its own."""
    model = add(service, "arc", 1, described)
    assert (model["state"], model["dimension"], model["permissive"]) == ("candidate", 128, True)
    assert model["int8"]["loss"]["least"] >= 0.998
    activated = service.answer("models", "activate", "arc")
    assert activated[0]["state"] == "active"
    gallery = service.collection()

    summary = service.answer("import", str(examples / "people"), collection=gallery)

    assert summary["done"] == 5
    photo = examples / "people" / "Grace Hopper" / "1.jpg"
    found = service.client(gallery).search(photo, threshold=0.99)
    best = found["faces"][0]["matches"][0]
    assert best["person"]["name"] == "Grace Hopper"
    assert best["similarity"] > 0.99
    shown = service.answer("models", "show", "arc")
    assert any(gallery in use for use in shown["uses"])
    assert shown["details"]["crop"]["kind"] == "five-point"


def test_the_same_file_is_the_same_model_and_a_name_is_used_once(service: Running, described: Path) -> None:
    model = add(service, "twice", 2, described)

    again = add(service, "twice", 2, described)
    described.with_name("other.onnx").write_bytes(nets.embedder(seed=3).SerializeToString())
    other = service.colega(
        "models", "add", str(described.with_name("other.onnx")), "--name", "twice", "--describe", str(described)
    )

    assert again["id"] == model["id"]
    assert other.returncode == 2
    assert "There is a model twice already" in other.stderr


def test_a_licence_that_is_not_permissive_is_accepted_once(service: Running, described: Path) -> None:
    """And it is shown before, and who accepted it afterwards."""
    text = described.read_text().replace("Apache-2.0", "Non-commercial research only")
    described.write_text(text)
    add(service, "research", 4, described)

    refused = service.colega("models", "activate", "research")
    with pytest.raises(ServiceError) as told:
        service.client().models.change("research", "activate", {})
    accepted = service.answer("models", "activate", "research", "--accept-licence")

    assert refused.returncode == 2
    assert "“Non-commercial research only”" in " ".join(refused.stderr.split())
    assert (told.value.status, told.value.problem["type"]) == (409, "/problems/licence-not-accepted")
    assert accepted[0]["accepted"]["by"]
    service.client().models.change("casia-webface", "activate", {})
    assert service.client().models.change("research", "activate", {})["state"] == "active"


def test_a_detector_given_as_an_embedder_is_told_to_be_one(service: Running, shared: Path) -> None:
    done = service.colega("models", "add", str(shared / "models" / "yunet_2026may.onnx"), "--name", "no-embedder")

    assert done.returncode == 2
    assert "is a YuNet detector" in done.stderr


def test_a_refused_model_may_be_added_again_under_its_name(service: Running, described: Path) -> None:
    path = described.with_name("net.onnx")
    path.write_bytes(nets.embedder(256, seed=5).SerializeToString())
    refused = service.colega("models", "add", str(path), "--name", "second-try", "--describe", str(described))
    described.write_text(nets.described(256))

    done = service.colega("models", "add", str(path), "--name", "second-try", "--describe", str(described))

    assert refused.returncode == 2
    assert "description says 128" in refused.stderr
    assert done.returncode == 0, done.stderr


def test_only_a_retired_model_that_nothing_uses_is_removed(service: Running, described: Path, examples: Path) -> None:
    add(service, "used", 6, described)
    add(service, "unused", 7, described)
    service.answer("models", "activate", "used")
    service.answer("import", str(examples / "people"), collection=service.collection())
    service.client().models.change("casia-webface", "activate", {})

    candidate = service.colega("models", "prune", "used")
    for name in ("used", "unused"):
        service.answer("models", "retire", name)
    in_use = service.colega("models", "prune", "used")
    done = service.colega("models", "prune", "unused")

    assert "Retire it first" in candidate.stderr
    assert "is in use: collection" in in_use.stderr
    assert done.returncode == 0, done.stderr
    assert "unused" not in {model["name"] for model in service.client().models.list()}


def test_a_file_that_is_too_large_is_refused_before_it_is_kept(service: Running, tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(601 * 2**20)

    done = service.colega("models", "add", str(path), "--name", "large")

    assert done.returncode == 2, done.stderr
    assert "large" not in {model["name"] for model in service.client().models.list()}


def test_int8_is_made_anew_with_a_collections_faces(service: Running, described: Path, shared: Path) -> None:
    """By the training worker; what it costs is measured on other people, and is told wherever the model is.

    Which of the two stays, the new one or that of the model's admission, depends on which is nearer to fp32
    (``tests/unit/workers/test_quantising.py``).
    """
    add(service, "mine", 8, described)
    gallery = service.collection()
    folders = sorted((shared / "data" / "georgia_tech" / "cropped").glob("s*"))[:6]
    service.enrol(
        {folder.name: [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:5]] for folder in folders}, gallery
    )

    result = service.answer("models", "quantize", "mine", collection=gallery)

    shown = service.answer("models", "show", "mine")
    assert result["int8"] == shown["int8"]
    assert shown["int8"]["loss"]["measured_on"].startswith("3 people")
    assert shown["int8"]["made_with"].startswith(("15 faces of a gallery", "the reference chips"))


def test_a_small_collection_is_told_to_be_too_small(service: Running, described: Path, enrolled: str) -> None:
    add(service, "few", 9, described)

    done = service.colega("models", "quantize", "few", collection=enrolled)

    assert done.returncode == 2
    assert "at least 20" in " ".join(done.stderr.split())


def test_facenet_of_another_training_is_a_model_like_any(service: Running, shared: Path, examples: Path) -> None:
    """Its state dict, with a licence that has to be accepted; its thresholds are known, so searches need none."""
    path = str(shared / "models" / "vggface2.safetensors")
    done = service.colega("models", "add", path, "--name", "vggface2", "--licence", "GPL-3.0", "--json")
    assert done.returncode == 0, done.stderr
    assert service.colega("models", "activate", "vggface2").returncode == 2
    service.answer("models", "activate", "vggface2", "--accept-licence")
    gallery = service.collection()

    service.answer("import", str(examples / "people"), collection=gallery)

    assert service.names(examples / "queries" / "group.jpg", gallery) == ["Barack Obama", "Joe Biden", "Eileen Collins"]
