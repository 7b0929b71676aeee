"""What somebody brings along, made a bundle by its content."""

import io
import json
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.errors import CannotStart, InvalidModel
from tests import nets
from workers.models import description, facenet_graph, facenet_state, foreign_bundle, safetensors, sources
from workers.models.bundle import Bundle
from workers.models.sources import Brought


@pytest.fixture(scope="module")
def state(bundle: Bundle) -> dict[str, NDArray[Any]]:
    return dict(facenet_state.state_of(bundle.weights()))


@pytest.fixture(scope="module")
def saved(state: dict[str, NDArray[Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict as safetensors."""
    path = tmp_path_factory.mktemp("saved") / "facenet.safetensors"
    path.write_bytes(safetensors.write(state)[0])
    return path


def brought(path: Path, **more: Any) -> Brought:
    return Brought(path, "mine", path.name, **more)


@pytest.mark.slow
def test_a_state_dict_becomes_a_bundle_that_says_the_same(saved: Path, bundle: Bundle, tmp_path: Path) -> None:
    """With an int8 variant of its own; being a published model, with the thresholds that were measured for it."""
    made = sources.bundle_of(brought(saved, licence="MIT", published="casia-webface"), tmp_path / "made")

    _, expected = bundle.reference()
    crops, vectors = made.reference()
    assert (vectors * expected).sum(1).min() > 0.99999
    assert made.embedder("fp32").agreement > 0.99999
    assert made.variants["int8"]["loss"]["least"] >= 0.998
    assert made.embedder("int8").embed(crops).shape == (9, 512)
    assert (made.name, made.licence, made.thresholds) == ("mine", "MIT", bundle.thresholds)


def test_weights_of_sixteen_bits_are_read(tmp_path: Path) -> None:
    """float16 and bfloat16, as they are passed on."""
    some = {"a": np.array([1.5, -2, 0.375], np.float32), "b": np.array([[3e-3]], np.float32)}
    halves = {"a": some["a"].astype("<f2"), "b": some["b"].astype("<f2")}
    wide = {name: (array.view("<u4") >> 16).astype("<u2") for name, array in some.items()}
    (tmp_path / "f2").write_bytes(_safetensors(halves, "F16"))
    (tmp_path / "bf").write_bytes(_safetensors(wide, "BF16"))

    assert (safetensors.read(tmp_path / "f2")["a"] == some["a"]).all()
    np.testing.assert_allclose(safetensors.read(tmp_path / "bf")["b"], some["b"], rtol=1e-2)


@pytest.mark.slow
def test_a_file_that_is_not_the_published_model_is_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="not the model published as vggface2"):
        sources.bundle_of(brought(saved, published="vggface2"), tmp_path / "made")


def test_a_file_cut_short_is_refused(saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[:-1000])

    theirs = replace(brought(cut), file_name="theirs.safetensors")
    with pytest.raises(InvalidModel, match=r"theirs\.safetensors is no whole safetensors file"):
        sources.bundle_of(theirs, tmp_path / "made")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"weights, they said\n" * 50, "notes.onnx cannot be used.*no ONNX model"),
        (nets.embedder().SerializeToString(), "--describe"),
    ],
)
def test_what_is_not_known_is_refused_by_name(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_bytes(content)

    with pytest.raises(InvalidModel, match=told):
        sources.bundle_of(brought(path), tmp_path / "made")


def test_a_pytorch_file_without_torch_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    path = tmp_path / "facenet.pt"
    path.write_bytes(b"\x80\x02}q\x00.")
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(CannotStart, match=r"facenet\.pt is a file of PyTorch.*Run: "):
        sources.bundle_of(brought(path), tmp_path / "made")


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    """A real one, which would make a file."""
    from tests import torch

    torch.required()
    made = tmp_path / "made-by-the-pickle"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (made,)

    path = tmp_path / "hostile.pt"
    path.write_bytes(pickle.dumps({"conv2d_1a.conv.weight": Hostile()}))
    pickle.loads(path.read_bytes())
    assert made.exists(), "It does what it says where it is let."
    made.unlink()

    with pytest.raises(InvalidModel, match="nothing of it was executed"):
        sources.bundle_of(brought(path), tmp_path / "bundle")

    assert not made.exists()


@pytest.mark.slow
def test_a_pytorch_file_is_read(saved: Path, bundle: Bundle, tmp_path: Path) -> None:
    """With a classifier and counters, as training leaves it."""
    from tests.torch import required

    torch = required()
    state = {name: torch.from_numpy(array) for name, array in safetensors.read(saved).items()}
    state["logits.weight"] = torch.zeros(10, 512)
    state["last_bn.num_batches_tracked"] = torch.tensor(3)
    torch.save(state, tmp_path / "facenet.pt")

    made = sources.bundle_of(brought(tmp_path / "facenet.pt"), tmp_path / "made")

    assert (made.reference()[1] * bundle.reference()[1]).sum(1).min() > 0.99999
    assert made.licence == "not stated"


@pytest.mark.slow
def test_a_bundles_folder_becomes_the_same_model(bundle: Bundle, tmp_path: Path) -> None:
    """Head and thresholds come along; graphs and variants are written anew."""
    made = sources.bundle_of(brought(_packed(bundle.directory, tmp_path)), tmp_path / "made")

    assert made.digest == bundle.digest
    assert made.thresholds == bundle.thresholds
    assert made.variants["int8"]["files"] == ["int8.onnx", "int8-narrow.onnx"]


def test_a_described_models_bundle_becomes_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(nets.embedder().SerializeToString())
    first = sources.bundle_of(brought(path, describe=nets.described()), tmp_path / "first")

    made = sources.bundle_of(brought(_packed(first.directory, tmp_path)), tmp_path / "made")

    assert made.digest == first.digest
    assert made.architecture.startswith(foreign_bundle.ARCHITECTURE)
    assert made.licence == "Apache-2.0"


def test_a_bundle_with_another_graph_is_not_what_it_says(tmp_path: Path) -> None:
    """However consistently its hashes were written anew: the architecture names the graph."""
    path = tmp_path / "net.onnx"
    path.write_bytes(nets.embedder().SerializeToString())
    first = sources.bundle_of(brought(path, describe=nets.described()), tmp_path / "first")
    graph = first.directory / description.FP32
    graph.write_bytes(graph.read_bytes() + b"\x42\x01x")
    _hashed_anew(first.directory)

    with pytest.raises(InvalidModel, match="architecture names"):
        sources.bundle_of(brought(_packed(first.directory, tmp_path)), tmp_path / "made")


@pytest.mark.slow
def test_another_graph_in_a_facenets_bundle_changes_nothing(copied: Path, bundle: Bundle, tmp_path: Path) -> None:
    """It is not taken: what runs is written from the weights."""
    (copied / description.FP32).unlink()
    (copied / description.FP32).write_bytes(b"something else")
    _hashed_anew(copied)

    made = sources.bundle_of(brought(_packed(copied, tmp_path)), tmp_path / "made")

    assert (made.directory / description.FP32).read_bytes() == (bundle.directory / description.FP32).read_bytes()


@pytest.mark.parametrize("name", ["../weights.safetensors", "/tmp/x", "sub/other.txt", "link", "sparse"])
def test_an_archive_with_anything_else_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar"
    with tarfile.open(path, "w:") as archive:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.name, member.type, member.linkname = description.WEIGHTS, tarfile.SYMTYPE, "/etc/passwd"
        if name == "sparse":  # Eight gigabytes, of which nothing is there.
            member.name, member.pax_headers = (
                description.WEIGHTS,
                {"GNU.sparse.size": str(2**33), "GNU.sparse.map": "0,0"},
            )
        archive.addfile(member, io.BytesIO())

    with pytest.raises(InvalidModel, match="no file of a bundle"):
        sources.bundle_of(brought(path), tmp_path / "made")


@pytest.mark.slow
def test_a_facenet_in_onnx_needs_no_description(bundle: Bundle, tmp_path: Path) -> None:
    """With the weights inside, under the names that bundles use."""
    path = tmp_path / "whole.onnx"
    path.write_bytes(foreign_bundle.whole(bundle).SerializeToString())

    made = sources.bundle_of(brought(path), tmp_path / "made")

    assert made.digest == bundle.digest
    assert made.architecture == facenet_graph.ARCHITECTURE


def _packed(directory: Path, folder: Path) -> Path:
    path = folder / "packed.tar"
    with tarfile.open(path, "w:") as archive:
        archive.add(directory, arcname=".")
    return path


def _hashed_anew(directory: Path) -> None:
    held = json.loads((directory / description.FILE).read_text())
    from workers.models.bundle import _sha256

    held["files"] = {name: _sha256(directory / name) for name in held["files"]}
    scratch = directory / "x"
    scratch.write_text(json.dumps(held))
    shutil.move(scratch, directory / description.FILE)


def _safetensors(arrays: dict[str, NDArray[Any]], kind: str) -> bytes:
    header, data = {}, b""
    for name, array in arrays.items():
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
