import os
import subprocess
import sys
from pathlib import Path

import pytest

from services import installation
from services.errors import CannotStart


def installed(folder: Path, **versions: str) -> list[str]:
    """A place that packages are imported from, with what pip notes of each distribution."""
    for name, version in versions.items():
        noted = folder / f"{name}-{version}.dist-info"
        noted.mkdir()
        (noted / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    return [str(folder)]


def test_this_installation_is_one_of_the_two() -> None:
    installation.check()


def test_either_extra_alone_is_fine(tmp_path: Path) -> None:
    installation.check(installed(tmp_path, faiss_gpu="1.15.1", onnxruntime_gpu="1.24.0"))


def test_both_extras_together_are_refused_with_the_command_that_repairs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = installed(tmp_path, faiss_cpu="1.15.0", faiss_gpu="1.15.1", onnxruntime="1.30.0", onnxruntime_gpu="1.31.1")
    monkeypatch.setattr("sys.executable", "/opt/a b/python")
    monkeypatch.setattr(installation, "_NVIDIA", tmp_path / "no driver")

    with pytest.raises(CannotStart) as refused:
        installation.check(place)

    assert str(refused.value).endswith(
        "Run: '/opt/a b/python' -m pip uninstall --yes faiss-cpu faiss-gpu onnxruntime onnxruntime-gpu"
        " && '/opt/a b/python' -m pip install --no-deps faiss-cpu==1.15.0 onnxruntime==1.30.0"
    )


def test_a_machine_with_a_gpu_keeps_what_computes_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "version"
    driver.touch()
    monkeypatch.setattr(installation, "_NVIDIA", driver)

    with pytest.raises(CannotStart, match=r"pip install --no-deps faiss-gpu==1\.15\.1$"):
        installation.check(installed(tmp_path, faiss_cpu="1.15.0", faiss_gpu="1.15.1"))


def test_what_is_missing_comes_with_the_command_that_installs_it_here() -> None:
    in_a_checkout, by_pip = installation.missing("train", "torch"), installation.missing("gpu", "faiss-gpu")

    assert str(in_a_checkout).startswith("torch is not installed. Run: make -C /")
    assert "install TORCH=torch" in str(in_a_checkout)
    assert str(by_pip).endswith("-m pip install 'colega[gpu]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    "process",
    [["services.cli.main", "up"], ["workers.searcher"], ["workers.tasks.prepare"]],
    ids=["colega up", "searcher", "prepare"],
)
def test_a_process_does_not_start_over_both(process: list[str], tmp_path: Path) -> None:
    [place] = installed(tmp_path, faiss_gpu="1.15.1")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": place, "COLEGA_DATA": str(tmp_path / "data")}

    done = subprocess.run(
        [sys.executable, "-m", *process], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "pip uninstall --yes faiss-cpu faiss-gpu" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_what_one_machine_runs_needs_no_torch() -> None:
    program = (
        "import importlib, sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name.partition('.')[0] == 'torch': raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from workers.tasks import alone, process, training\n"
        "from workers import calibrating, computing, evaluating, quantising, searcher\n"
        "from services.cli import main; main.register()\n"
        "from services.gateway import app\n"
        "for module in process.MODULES: importlib.import_module(module)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
