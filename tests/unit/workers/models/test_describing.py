"""The description of an embedder that somebody brings."""

import pytest

from services.errors import InvalidModel
from tests import nets
from workers.faces.crops import ARCFACE_112
from workers.models import describing

GOOD = nets.described()


def test_a_description_says_what_a_model_wants() -> None:
    found = describing.parse(GOOD)

    assert (found.licence, found.dimension, found.size_px, found.layout, found.channels) == (
        "Apache-2.0",
        128,
        112,
        "NCHW",
        "BGR",
    )
    assert found.mean == found.std == (127.5, 127.5, 127.5)
    assert found.crop["template"] == [list(point) for point in ARCFACE_112]


def test_own_points_and_a_window_are_taken() -> None:
    points = [[30, 40], [66, 40], [48, 60], [34, 76], [62, 76]]
    own = GOOD.replace("size: 112", "size: 96").replace("arcface-112", str(points))
    window = GOOD.replace("{kind: five-point, template: arcface-112}", "{kind: stretched-box, window_px: 180}")

    assert describing.parse(own).crop["template"] == points
    assert describing.parse(window).crop == {
        "kind": "stretched-box",
        "chip_px": 224,
        "crop_px": 112,
        "window_px": 180,
    }


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("licence: Apache-2.0", "licence: ''", "licence"),
        ("licence: Apache-2.0", "licence: [MIT]", "licence"),
        ("source:", "origin:", "the description has the field origin"),
        ("dimension: 128", "dimension: '128'", "dimension"),
        ("layout: NCHW", "layout: CHWN", "input.layout"),
        ("size: 112", "size: 1120", "input.size"),
        ("size: 112", "size: 128", "for crops of 112"),
        ("channels: BGR", "channels: GRB", "input.channels"),
        (", channels: BGR", "", "input.channels"),
        ("mean: 127.5", "mean: [1, 2]", "input.mean"),
        ("std: 127.5", "std: 0", "input.std"),
        ("std: 127.5", "std: .nan", "input.std"),
        ("std: 127.5", "sdt: 127.5", "input has the field sdt"),
        ("template: arcface-112", "template: arcface-128", "known by name: arcface-112"),
        ("template: arcface-112", "template: [[1, 2]]", "five points"),
        ("kind: five-point", "kind: six-point", "crop.kind"),
        ("crop:", "crops:", "crops"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_by_field(before: str, after: str, told: str) -> None:
    assert before in GOOD

    with pytest.raises(InvalidModel, match=told):
        describing.parse(GOOD.replace(before, after))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b",
        "licence: [",
        "a: &a [x]\nb: *a",
        "!!python/object/apply:os.system ['true']",
        "x" * 70_000,
        "[" * 5000,
    ],
)
def test_what_is_no_description_is_refused(text: str) -> None:
    """Nothing of it is constructed, and aliases cannot blow it up."""
    with pytest.raises(InvalidModel):
        describing.parse(text)
