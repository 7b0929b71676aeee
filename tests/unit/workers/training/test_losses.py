from typing import Any

import pytest

from services.errors import InvalidRequest
from tests.torch import required

torch = required()

from workers.training import losses  # noqa: E402


def on_a_circle(*degrees: float) -> Any:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([torch.cos(angles), torch.sin(angles)], 1)


PEOPLE = torch.tensor([0, 0, 1])


def by_hand(embeddings: Any, margin: float) -> float:
    """The mean over the triplets of person 0, both ways, that violate the margin."""
    between = torch.cdist(embeddings, embeddings).square()
    found = [between[a, p] - between[a, 2] + margin for a, p in ((0, 1), (1, 0))]
    active = [float(one) for one in found if one > 0]
    return sum(active) / len(active) if active else 0.0


@pytest.mark.parametrize("mining", losses.MININGS)
def test_the_loss_is_that_of_the_paper(mining: str) -> None:
    embeddings = on_a_circle(0, 20, 44)  # From both anchors the stranger is farther, within the margin.

    loss, active = losses.Triplets(mining, 0.4)(embeddings, PEOPLE)

    assert float(loss) == pytest.approx(by_hand(embeddings, 0.4), abs=1e-5)
    assert active > 0


def test_semi_hard_passes_over_a_stranger_who_is_nearer_than_the_person() -> None:
    embeddings = on_a_circle(0, 60, 10)

    semi_hard, _ = losses.Triplets("semi-hard", 0.2)(embeddings, PEOPLE)
    hard, _ = losses.Triplets("batch-hard", 0.2)(embeddings, PEOPLE)

    assert float(semi_hard) == 0
    assert float(hard) > 0


@pytest.mark.parametrize("mining", losses.MININGS)
def test_people_far_apart_cost_nothing_and_still_give_a_gradient(mining: str) -> None:
    embeddings = on_a_circle(0, 1, 180).requires_grad_()

    loss, _ = losses.Triplets(mining, 0.2)(embeddings, PEOPLE)
    loss.backward()

    assert float(loss.detach()) == 0
    assert embeddings.grad is not None


def test_nearness_is_zero_at_home_and_grows_away_from_it() -> None:
    home, away = on_a_circle(10, 20), on_a_circle(100, 110)

    assert float(losses.from_target(home, home)) == pytest.approx(0, abs=1e-6)
    assert float(losses.from_target(away, home)) == pytest.approx(1, abs=1e-6)
    parameter = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    assert float(losses.from_start({"w": parameter}, {"w": torch.zeros(2)}).detach()) == 12.5


def test_an_unknown_mining_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="no mining 'easy'; there are semi-hard, batch-hard, all"):
        losses.Triplets("easy", 0.2)
