"""Whether a rebuild may be switched to by itself."""

from typing import Any

import pytest

from tests.unit.workers.evaluation.shadows import figure
from workers.evaluation.policy import stopped_by

UNMEASURED = "Too few people: 4 people, 1 with two photos."


def comparison(
    rank1: dict[str, Any] | None = None, tmr: dict[str, Any] | None = None, threshold: float | None = 0.5
) -> dict[str, Any]:
    """What the policy reads of one."""
    return {
        "after": {"name": "vggface2"},
        "accuracy": {"rank1": rank1, "tmr_at_fmr_1e-3": tmr, "fnir_at_fpir_5e-2": None},
        "decides": {"after": {"threshold": threshold, "by": None, "why_not": "It has no thresholds. Enrol more."}},
        "not_said": {} if rank1 else {"accuracy.rank1": UNMEASURED},
    }


@pytest.mark.parametrize(
    "parameters", [{}, {"min_rank1": None, "max_loss": None}, {"min_rank1": 0.98}, {"max_loss": 0.0}]
)
def test_a_model_that_is_as_good_is_switched_to(parameters: dict[str, Any]) -> None:
    """With no policy, with its defaults, and with limits that it keeps."""
    said = comparison(figure(0.98, 0.98), figure(0.9, 0.92))

    assert stopped_by(said, parameters) is None


@pytest.mark.parametrize(
    ("rank1", "tmr", "stops"),
    [
        (figure(0.99, 0.98), figure(0.9, 0.9), False),  # A point is what may be lost.
        (figure(0.99, 0.9799), figure(0.9, 0.9), True),
        (figure(0.99, 0.99), figure(0.9, 0.88), True),
        (figure(0.9, 0.99), None, False),
        (None, None, False),
    ],
)
def test_a_point_may_be_lost_where_nothing_is_said(
    rank1: dict[str, Any] | None, tmr: dict[str, Any] | None, *, stops: bool
) -> None:
    """Of rank-1 and of TMR; what cannot be measured stops nothing that nobody asked for."""
    assert (stopped_by(comparison(rank1, tmr), {"max_loss": None}) is not None) == stops


def test_a_loss_is_said_with_its_figures_its_interval_the_limit_and_what_to_do() -> None:
    """So that a person can decide otherwise."""
    said = stopped_by(comparison(figure(0.991, 0.912, [-0.1, -0.06]), None), {"max_loss": 0.02})

    assert said == (
        "Rank-1 falls by 7.9 points, from 99.1% to 91.2% (95% interval of the change: \N{MINUS SIGN}10.0 to \N{MINUS SIGN}6.0 "
        "points); 2 points may be lost. Choose another model, or allow more (max_loss)."
    )


def test_every_reason_is_given() -> None:
    """Not only the first one."""
    said = stopped_by(comparison(figure(0.9, 0.5), figure(0.9, 0.5), threshold=None), {"min_rank1": 0.95})

    assert said is not None
    assert "Searches could not decide under vggface2: It has no thresholds." in said
    assert "Rank-1 of vggface2 is 50%; at least 95% was asked for." in said
    assert "TMR at FMR 1e-3 falls by 40 points" in said


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"min_rank1": 0.5}, "Rank-1 must be at least 50%, and cannot be measured. " + UNMEASURED),
        ({"max_loss": 0.5}, "No more than 50 points may be lost, and no loss can be measured. " + UNMEASURED),
    ],
)
def test_a_limit_that_cannot_be_measured_stops_and_says_so(parameters: dict[str, Any], reason: str) -> None:
    """Who asks for a limit is not told that it was kept."""
    said = stopped_by(comparison(), parameters)

    assert said is not None
    assert said.startswith(reason)


def test_a_model_under_which_searches_could_not_decide_is_never_switched_to_by_itself() -> None:
    """However good it is, and whatever is allowed."""
    said = stopped_by(comparison(figure(0.5, 1.0), figure(0.5, 1.0), threshold=None), {"max_loss": 1.0})

    assert said == "Searches could not decide under vggface2: It has no thresholds. Enrol more."
