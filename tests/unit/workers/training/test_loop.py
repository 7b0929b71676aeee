import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.errors import ColegaError, DiskFull, TrainingDiverged
from tests.torch import required

torch = required()

from workers.training import checkpoints, loop  # noqa: E402
from workers.training.loop import Pace  # noqa: E402


class Line:
    """A line through noisy points that depend on the step; judged by how near it is to 2x + 1."""

    def __init__(self, *, fails_at: int | None = None, figures: list[float] | None = None) -> None:
        self.slope, self.offset = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
        self.fails_at, self.figures = fails_at, figures
        self.seen: list[int] = []

    def parameters(self) -> Mapping[str, Any]:
        return {"slope": self.slope, "offset": self.offset}

    def loss(self, step: int) -> tuple[Any, Mapping[str, float]]:
        self.seen.append(step)
        points = torch.randn(16, generator=torch.Generator().manual_seed(step))
        loss = (self.slope * points + self.offset - 2 * points - 1).square().mean()
        return (loss * math.nan if step == self.fails_at else loss), {"points": 16.0}

    def figure(self) -> float:
        if self.figures is not None:
            return self.figures.pop(0)
        slope, offset = self.at()
        return -abs(slope - 2) - abs(offset - 1)

    def at(self) -> tuple[float, float]:
        return float(self.slope.detach()), float(self.offset.detach())


PACE = Pace(steps=60, rate=0.1, warm_up=5, validate_every=10, average=0.5, way=0.9)


def quietly(told: Mapping[str, Any]) -> None:
    del told


def test_it_learns_and_says_how_far_it_is() -> None:
    line, told = Line(), list[Mapping[str, Any]]()

    course = loop.run(line, Pace(steps=200, rate=0.1, validate_every=50), None, told.append)

    assert line.at() == pytest.approx((2, 1), abs=0.1)
    assert (course.ended, course.step) == ("steps", 200)
    assert course.best > course.before
    assert told[-1].keys() >= {"stage", "step", "steps", "eta_s", "loss", "points", "validation"}


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_run_that_is_stopped_and_goes_on_ends_where_one_that_is_not_does(tmp_path: Path, optimiser: Any) -> None:
    pace = Pace(steps=60, rate=0.05, warm_up=5, validate_every=10, average=0.5, way=0.9, optimiser=optimiser)
    whole = Line()
    course = loop.run(whole, pace, None, quietly)

    class Stopped(Exception):
        pass

    class Half(Line):
        def loss(self, step: int) -> tuple[Any, Mapping[str, float]]:
            if step == 33:
                raise Stopped
            return super().loss(step)

    with pytest.raises(Stopped):
        loop.run(Half(), pace, tmp_path, quietly)
    second = Line()
    again = loop.run(second, pace, tmp_path, quietly)

    assert second.seen[0] == 30
    assert second.at() == whole.at()
    assert [one["figure"] for one in again.validations] == [one["figure"] for one in course.validations]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole = Line()
    loop.run(whole, PACE, None, quietly)
    code = (
        "import sys, time; from pathlib import Path; sys.path[:0] = ['.', 'tests/unit/workers/training']\n"
        "import test_loop as t\n"
        "class Slow(t.Line):\n"
        "    def loss(self, step): time.sleep(0.02); return super().loss(step)\n"
        "line = Slow(); t.loop.run(line, t.PACE, Path(sys.argv[1]), t.quietly); print(line.at())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    root = Path(__file__).resolve().parents[4]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob("*.safetensors")):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    kept = checkpoints.latest(tmp_path)
    assert kept is not None
    assert kept.step < PACE.steps

    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)

    assert tuple(json.loads(ended.stdout.replace("(", "[").replace(")", "]"))) == whole.at()


def test_another_pace_does_not_go_on_from_a_checkpoint_of_this_one(tmp_path: Path) -> None:
    loop.run(Line(), PACE, tmp_path, quietly)
    line = Line()

    loop.run(line, Pace(steps=61, rate=0.1, validate_every=10), tmp_path, quietly)

    assert line.seen[0] == 0


def test_numbers_that_are_not_finite_end_it_and_the_last_checkpoint_stays(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingDiverged, match="not a finite number at step 26 of 60; the checkpoint of step 20 is kept"
    ):
        loop.run(Line(fails_at=25), PACE, tmp_path, quietly)

    kept = checkpoints.latest(tmp_path)
    assert kept is not None
    assert kept.step == 20
    assert all(torch.isfinite(tensor).all() for tensor in kept.tensors.values())


def test_a_full_disk_ends_it_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    full = tmp_path / "00000020.part"
    full.symlink_to("/dev/full")
    with pytest.raises(DiskFull):
        loop.run(Line(), PACE, tmp_path, quietly)
    line = Line()

    course = loop.run(line, PACE, tmp_path, quietly)

    assert line.seen[0] == 10
    assert course.step == PACE.steps


def test_it_ends_when_the_figure_has_not_risen_for_long_enough_and_keeps_the_best() -> None:
    line = Line(figures=[0.1, 0.5, 0.9, 0.7, 0.6, 0.6, 0.6, 0.6])

    course = loop.run(line, Pace(steps=100, rate=0.1, validate_every=10, patience=2), None, quietly)

    assert (course.ended, course.step, course.best_step, course.best) == ("patience", 40, 20, 0.9)


def test_of_figures_that_hardly_differ_the_later_is_kept() -> None:
    line = Line(figures=[0.1, 0.9, 0.899, 0.8])

    course = loop.run(line, Pace(steps=30, rate=0.1, validate_every=10, tolerance=0.01), None, quietly)

    assert (course.best_step, course.best, course.highest) == (20, 0.899, 0.9)


def test_the_old_weights_are_never_the_result_even_where_nothing_is_better() -> None:
    line = Line(figures=[0.9, 0.1, 0.2])

    course = loop.run(line, Pace(steps=20, rate=0.1, validate_every=10), None, quietly)

    assert (course.before, course.best_step) == (0.9, 20)
    assert line.at() != (0.0, 0.0)


def test_where_nobody_is_held_out_the_last_weights_are_kept() -> None:
    line = Line(figures=[math.nan] * 4)

    assert loop.run(line, Pace(steps=30, rate=0.1, validate_every=10, patience=1), None, quietly).best_step == 30


def test_a_time_limit_ends_it_with_what_it_has() -> None:
    course = loop.run(Line(), Pace(steps=10**6, rate=0.1, time_limit_s=0.2), None, quietly)

    assert course.ended == "time limit"
    assert course.best_step == course.step < 10**6


def test_whoever_watches_can_end_it(tmp_path: Path) -> None:
    class Unwanted(ColegaError):
        pass

    def no(_: Mapping[str, Any]) -> None:
        raise Unwanted

    with pytest.raises(Unwanted):
        loop.run(Line(), PACE, tmp_path, no)
