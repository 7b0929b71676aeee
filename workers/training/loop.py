"""The loop of every training: steps, a rate that rises and falls, validation, early stopping, checkpoints, progress.

What is trained is a :class:`Subject`, which knows its data and its loss. All randomness comes from the number of the step,
so a training that was killed and goes on from its checkpoint does what it would have done.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from services.errors import TrainingDiverged
from workers.training import checkpoints

Tell = Callable[[Mapping[str, Any]], None]

_TOLD_EVERY_S = 1.0
_SAVED_EVERY_S = 60.0


class Subject(Protocol):
    """What is trained."""

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Everything the loop may change, by name, always in one order."""

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss of *step*, a scalar that gradients flow from, and figures to show beside it."""

    def figure(self) -> float:
        """How good the parameters are as they stand, on people that no step sees; larger is better. NaN: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How far and how fast."""

    steps: int
    rate: float
    """The learning rate after the warm-up; it falls to zero along a cosine."""
    warm_up: int = 0
    """Steps in which the rate rises from zero."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    """Of SGD."""
    clip: float = 0.0
    """Greatest norm of the gradients together; 0 leaves them."""
    average: float = 0.0
    """Decay of the moving average of the parameters that is judged and kept; 0 keeps the parameters themselves."""
    way: float = 1.0
    """Of the way from the old parameters to the new ones, how much is judged and kept (WiSE-FT; Wortsman et al. 2022)."""
    validate_every: int = 50
    patience: int = 0
    """Validations in a row that are worse than the best by more than the tolerance, after which it ends; 0: to the last step."""
    tolerance: float = 0.0
    """Of figures that are no more than this below the best one, the latest is kept: what is held out is few people, and chance
    decides between them; what has learnt for longer is better more often."""
    time_limit_s: float | None = None

    def rate_at(self, step: int) -> float:
        """The learning rate of *step*, counted from 0."""
        if step < self.warm_up:
            return self.rate * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.rate * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(slots=True)
class Course:
    """How a training went so far; what JSON can say of it."""

    step: int = 0
    seconds: float = 0.0
    before: float = float("nan")
    """The figure before the first step."""
    highest: float = float("nan")
    best: float = float("nan")
    """Of what is kept."""
    best_step: int = 0
    worse: int = 0
    """Validations in a row that were worse than the best by more than the tolerance."""
    validations: list[dict[str, float]] = field(default_factory=list)
    ended: str = ""
    """"steps", "patience" or "time limit"."""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """As :func:`dataclasses.asdict` gave it, through JSON."""
        return cls(**state)


def run(subject: Subject, pace: Pace, folder: Path | None, tell: Tell) -> Course:
    """Train *subject*, from the last checkpoint in *folder* where there is one. In the end it has its best parameters.

    The best are those of the latest validation whose figure is within the tolerance of the highest; the first one, before any
    step, does not count.

    Raises:
        TrainingDiverged: The loss is not finite.
        DiskFull: There is no room for a checkpoint.
        Cancelled: *tell* says so.
    """
    return _Run(subject, pace, folder, tell).run()


class _Run:
    def __init__(self, subject: Subject, pace: Pace, folder: Path | None, tell: Tell) -> None:
        self.subject, self.pace, self.folder, self.tell = subject, pace, folder, tell
        self.parameters = dict(subject.parameters())
        self.start = {name: held.detach().clone() for name, held in self.parameters.items()}
        self.averaged = {name: held.clone() for name, held in self.start.items()}
        self.best = {name: held.clone() for name, held in self.start.items()}
        self.optimiser = _optimiser(self.parameters, pace)
        self.course = Course()
        self.shown: dict[str, float] = {}
        self.began = self.saved = time.monotonic()
        self.told = -math.inf

    def run(self) -> Course:
        self._resume()
        course = self.course
        if not course.validations:
            course.before = self.subject.figure()
            course.validations.append({"step": 0, "figure": course.before})
        before = course.seconds
        if course.step >= self.pace.steps:
            course.ended = course.ended or "steps"
        while not course.ended:
            self._step(course.step)
            course.step += 1
            course.seconds = before + time.monotonic() - self.began
            limit = self.pace.time_limit_s
            if course.step >= self.pace.steps:
                course.ended = "steps"
            elif limit is not None and course.seconds >= limit:
                course.ended = "time limit"
            if course.step % self.pace.validate_every == 0 or course.ended:
                self._validate()
                self._save()
            elif time.monotonic() - self.saved >= _SAVED_EVERY_S:
                self._save()
            self._show()
        self._put(self.best)
        return course

    def _step(self, step: int) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.pace.rate_at(step)
        self.optimiser.zero_grad(set_to_none=True)
        loss, figures = self.subject.loss(step)
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()
            norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.pace.clip or math.inf)
            value = value if bool(torch.isfinite(norm)) else float("nan")
        if not math.isfinite(value):
            last = checkpoints.latest(self.folder) if self.folder else None
            kept = f"the checkpoint of step {last.step} is kept" if last else "no checkpoint was made yet"
            raise TrainingDiverged(
                f"The loss or its gradient is not a finite number at step {step + 1} of {self.pace.steps}; {kept}. Lower "
                f"the rate (it was {self.pace.rate_at(step):.3g})."
            )
        self.optimiser.step()
        decay = min(self.pace.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, held in self.parameters.items():
                self.averaged[name].lerp_(held, 1 - decay)
        self.shown = {"loss": value, **figures}

    def _candidate(self) -> dict[str, Tensor]:
        return {name: torch.lerp(self.start[name], held, self.pace.way) for name, held in self.averaged.items()}

    def _validate(self) -> None:
        present = {name: held.detach().clone() for name, held in self.parameters.items()}
        candidate = self._candidate()
        self._put(candidate)
        figure = self.subject.figure()
        self._put(present)
        course = self.course
        course.validations.append({"step": course.step, "figure": figure, **self.shown})
        if not course.best_step or figure > course.highest or math.isnan(figure):
            course.highest = figure
        if figure < course.highest - self.pace.tolerance:
            course.worse += 1
        else:
            course.worse = 0
            course.best, course.best_step, self.best = figure, course.step, candidate
        if self.pace.patience and course.worse >= self.pace.patience and not course.ended:
            course.ended = "patience"

    def _put(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, held in self.parameters.items():
                held.copy_(values[name])

    def _save(self) -> None:
        if self.folder is None:
            return
        held = {"start": self.start, "now": self.parameters, "averaged": self.averaged, "best": self.best}
        tensors = {f"{group}/{name}": tensor for group, named in held.items() for name, tensor in named.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimiser.state[parameter].items():
                tensors[f"optimiser/{name}/{key}"] = value
        state = {"course": asdict(self.course), "pace": asdict(self.pace)}
        checkpoints.save(self.folder, self.course.step, tensors, state)
        self.saved = time.monotonic()

    def _resume(self) -> None:
        kept = checkpoints.latest(self.folder) if self.folder else None
        if kept is None or kept.state["pace"] != asdict(self.pace):
            return
        self.course = Course.of(kept.state["course"])
        groups: dict[str, dict[str, Tensor]] = {"start": self.start, "averaged": self.averaged, "best": self.best}
        for group, named in groups.items():
            for name, tensor in named.items():
                tensor.copy_(kept.tensors[f"{group}/{name}"])
        for name, parameter in self.parameters.items():
            with torch.no_grad():
                parameter.copy_(kept.tensors[f"now/{name}"])
            prefix = f"optimiser/{name}/"
            self.optimiser.state[parameter] = {
                # AdamW counts its steps on the CPU.
                key.removeprefix(prefix): value if value.ndim == 0 else value.to(parameter.device)
                for key, value in kept.tensors.items()
                if key.startswith(prefix)
            }

    def _show(self) -> None:
        now, course = time.monotonic(), self.course
        if now - self.told < _TOLD_EVERY_S and not course.ended:
            return
        self.told = now
        left = self.pace.steps - course.step
        eta_s = left * course.seconds / max(1, course.step)
        if self.pace.time_limit_s is not None:
            eta_s = min(eta_s, max(0.0, self.pace.time_limit_s - course.seconds))
        shown = {name: round(value, 6) for name, value in self.shown.items()}
        figure = course.validations[-1]["figure"]
        validation = {"validation": round(figure, 6)} if math.isfinite(figure) else {}
        ends = {"step": course.step, "steps": self.pace.steps, "eta_s": round(eta_s, 1)}
        self.tell({"stage": "training", **ends, **shown, **validation})


def _optimiser(parameters: Mapping[str, nn.Parameter], pace: Pace) -> torch.optim.Optimizer:
    held = list(parameters.values())
    if pace.optimiser == "sgd":
        return torch.optim.SGD(held, lr=pace.rate, momentum=pace.momentum)
    # No decay towards zero: what holds the weights is nearness to the old ones.
    return torch.optim.AdamW(held, lr=pace.rate, weight_decay=0.0)
