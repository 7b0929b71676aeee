"""The plot of a calibration."""

from typing import Any

from services.gateway.console.calibration_plot import BOTTOM, LEFT, RIGHT, TOP, plot

CURVES: dict[str, Any] = {
    "people": 100,
    "compared": 100,
    "strangers": 100,
    "mated_people": 50,
    "faces": 200,
    "needs": {"fmr": 5, "fpir": 4, "mated": 10},
    "fmr": [[0.1, 0.1, 0.09, 0.11, 0.0], [0.3, 0.01, 0.005, 0.02, 0.05], [0.5, 0.001, 0.0, 0.004, 0.2]],
    "pairs": [],
    "fpir": {"0.05": [[99, 0.45, 0.01, 0.1, 0.15]]},
}


def test_rates_fall_from_above_to_below_as_similarities_rise_from_left_to_right() -> None:
    drawn = plot(CURVES, 100, 0.45)

    assert drawn is not None
    points = [tuple(map(float, each.split())) for each in drawn.fmr.removeprefix("M").split("L")]
    assert points == sorted(points)
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in points)
    assert drawn.threshold == drawn.fpir[0].x


def test_a_rate_of_nothing_lies_on_the_axis() -> None:
    drawn = plot(CURVES, 100, None)

    assert drawn is not None
    assert drawn.fnmr.startswith(f"M{points(drawn.fmr)[0]} {float(BOTTOM)}")
    assert drawn.threshold is None


def test_too_few_people_for_a_table_draw_nothing() -> None:
    assert plot({**CURVES, "fmr": []}, 100, 0.4) is None


def points(path: str) -> list[str]:
    """The similarities of a path, as it has them."""
    return [each.split()[0] for each in path.removeprefix("M").split("L")]
