import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from services.errors import ColegaError, InvalidRequest, InvalidTraining
from tests.torch import required
from tests.unit.workers.training.faces import photos

required()

from workers import tuning  # noqa: E402
from workers.folder_bench import FolderBench  # noqa: E402
from workers.models.bundle import Bundle  # noqa: E402

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
RECIPE = {"steps": 30, "views": 2, "people_a_batch": 6, "held_out": 0.4, "validate_every": 10, "seed": 3}


def write(folder: Path, person: str, number: int, jpeg: bytes) -> None:
    (folder / person).mkdir(parents=True, exist_ok=True)
    (folder / person / f"{number}.jpg").write_bytes(jpeg)


@pytest.fixture(scope="module")
def dataset(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirteen people: those of the reference chips in three varied photos, those of the examples in two."""
    folder = tmp_path_factory.mktemp("dataset")
    chips, people = photos(bundle, [3] * 9)
    for number, (chip, person) in enumerate(zip(chips, people.tolist(), strict=True)):
        write(folder, f"Person {person}", number, chip.jpeg)
    for path in sorted((ROOT / "examples" / "people").rglob("*.jpg")):
        person = path.parent.name
        write(
            folder,
            person,
            len(list((folder / person).glob("*"))) if (folder / person).exists() else 0,
            path.read_bytes(),
        )
        ImageOps.mirror(Image.open(path).convert("RGB")).save(folder / person / f"mirrored-{path.name}")
    return folder


@pytest.fixture
def bench_over(bundle: Bundle, tmp_path: Path) -> Callable[..., FolderBench]:
    def made(dataset: Path, told: Callable[[Mapping[str, Any]], None] = lambda _: None) -> FolderBench:
        (tmp_path / "folder").mkdir(exist_ok=True)
        models = bundle.directory.parent
        return FolderBench(models, tmp_path / "folder", tmp_path / "out", dataset, 10**8, told)

    return made


@dataclass(frozen=True)
class Trained:
    """What a training ended with, and what it told."""

    result: Mapping[str, Any]
    told: Sequence[Mapping[str, Any]]


@pytest.fixture(scope="module")
def trained(dataset: Path, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One training, for all tests that look at what came of it."""
    folder, told = tmp_path_factory.mktemp("trained"), list[Mapping[str, Any]]()
    (folder / "folder").mkdir()
    bench = FolderBench(bundle.directory.parent, folder / "folder", folder / "out", dataset, 10**8, told.append)
    return Trained(tuning.train({"method": "triplet", "recipe": RECIPE, "name": "ours"}, bench), told)


def test_a_training_ends_with_a_candidate_that_was_judged_on_people_it_never_saw(
    trained: Trained, bundle: Bundle
) -> None:
    result, told = trained.result, trained.told

    made = Bundle.open(Path(result["model"]))
    assert (made.name, made.digest) == ("ours", result["digest"])
    assert made.digest != bundle.digest
    assert made.embedder("fp32").agreement > 0.9999
    faces, held_out = result["faces"], result["held_out"]
    assert faces["learnt"]["people"] + faces["held_out"]["people"] == 13
    assert held_out["people"] == faces["held_out"]["people"] == 5
    assert held_out["before"].keys() == held_out["after"].keys() == {"tmr_at_fmr", "eer"}
    assert result["base"] == {"name": bundle.name, "digest": bundle.digest}
    assert [one["stage"] for one in told if one["stage"] == "training"]
    shown = next(one for one in told if one["stage"] == "training" and one["step"] > 1)
    assert shown.keys() >= {"step", "steps", "eta_s", "loss", "active_triplets"}
    json.dumps(result, allow_nan=False)


def test_what_a_bundle_says_of_its_training_names_nobody(dataset: Path, bundle: Bundle, trained: Trained) -> None:
    result = trained.result

    provenance = Bundle.open(Path(result["model"])).description["provenance"]

    assert provenance["base"]["digest"] == bundle.digest
    assert provenance["recipe"]["seed"] == 3
    assert provenance["held_out"] == result["held_out"]
    said = json.dumps(provenance)
    assert not [person.name for person in dataset.iterdir() if person.name in said]


def test_vectors_move_and_stay_near_the_old_ones(bundle: Bundle, trained: Trained) -> None:
    crops, old = bundle.reference()
    new = Bundle.open(Path(trained.result["model"])).embedder("fp32").embed(crops)

    assert 0.5 < float((new * old).sum(1).min()) < 0.99999


def test_a_training_that_is_killed_goes_on_and_ends_with_the_same_model(
    dataset: Path, bundle: Bundle, bench_over: Callable[..., FolderBench], tmp_path: Path
) -> None:
    recipe = {**RECIPE, "steps": 60}
    whole = tuning.train({"method": "triplet", "recipe": recipe}, bench_over(dataset))
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    (data / "models" / "casia-webface").symlink_to(bundle.directory)
    wanted = {"method": "triplet", "recipe": recipe, "dataset": str(dataset)}
    request = json.dumps({"kind": "training", "wanted": wanted, "output": str(tmp_path / "results")})
    command = [sys.executable, "-m", "workers.tasks.alone"]
    environment = {**os.environ, "COLEGA_DATA": str(data)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes) as process:
        assert process.stdin is not None
        process.stdin.write(request)
        process.stdin.close()
        while not list(data.glob("computing/*/checkpoints-*/*/*.safetensors")):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    ended = subprocess.run(
        command, cwd=ROOT, env=environment, text=True, input=request, capture_output=True, check=True
    )

    assert json.loads(ended.stdout)["digest"] == whole["digest"]


def test_photos_without_a_face_and_files_that_are_none_are_counted(
    dataset: Path, bench_over: Callable[..., FolderBench], tmp_path: Path
) -> None:
    odd = tmp_path / "odd"
    for path in sorted(dataset.rglob("*.jpg")):
        write(odd, path.parent.name, len(list(odd.rglob("*"))), path.read_bytes())
    (odd / "Person 0" / "broken.jpg").write_bytes(b"no picture")
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(odd / "Person 0" / "wall.png")

    result = tuning.train({"recipe": {**RECIPE, "steps": 2}}, bench_over(odd))

    faces = result["faces"]
    assert faces["unreadable"] == 1
    assert faces["undetected"] >= 1  # The wall, and perhaps a face that was varied too far.
    assert any(f"{faces['undetected']} without a face, 1 not readable" in line for line in result["lines"])


@pytest.mark.parametrize(("of_each", "said"), [([3], "at least two people"), ([1, 1], "has two photos")])
def test_people_of_whom_nothing_can_be_learnt_are_refused(
    bundle: Bundle, bench_over: Callable[..., FolderBench], tmp_path: Path, of_each: list[int], said: str
) -> None:
    chips, people = photos(bundle, of_each)
    for number, (chip, person) in enumerate(zip(chips, people.tolist(), strict=True)):
        write(tmp_path / "few", str(person), number, chip.jpeg)

    with pytest.raises(InvalidTraining, match=said):
        tuning.train({"method": "triplet"}, bench_over(tmp_path / "few"))


def test_few_people_are_learnt_from_without_a_figure_that_says_so(
    bundle: Bundle, bench_over: Callable[..., FolderBench], tmp_path: Path
) -> None:
    chips, people = photos(bundle, [2, 1])
    for number, (chip, person) in enumerate(zip(chips, people.tolist(), strict=True)):
        write(tmp_path / "few", str(person), number, chip.jpeg)

    result = tuning.train({"recipe": {"steps": 2, "views": 1}}, bench_over(tmp_path / "few"))

    assert result["held_out"]["before"] is None
    assert any("nothing says whether the new model is better" in line for line in result["lines"])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"method": "guess"}, "no method 'guess'"),
        ({"method": "triplet", "recipe": {"stepz": 1}}, "no field 'stepz'"),
        ({"method": "triplet", "device": "tpu"}, "no device 'tpu'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_read(
    bench_over: Callable[..., FolderBench], tmp_path: Path, wanted: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        tuning.train(wanted, bench_over(tmp_path / "nowhere"))


def test_whoever_watches_can_end_it(dataset: Path, bench_over: Callable[..., FolderBench]) -> None:
    class Unwanted(ColegaError):
        pass

    def no(told: Mapping[str, Any]) -> None:
        if told["stage"] == "training":
            raise Unwanted

    with pytest.raises(Unwanted):
        tuning.train({"recipe": RECIPE}, bench_over(dataset, no))
