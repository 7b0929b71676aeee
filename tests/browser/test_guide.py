"""What a frame's measurements say to whoever stands before the camera: js/enrol/guide.js, asked in the browser."""

from typing import Any

import pytest

from tests.browser.console import Console

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 640, 480
FINE = {"exposure": 0.9, "sharpness": 0.9, "pose": 1.0, "size": 1.0, "detector": 1.0}

_JUDGE = """
async ([module, cases]) => {
  const { judge } = await import(module);
  return cases.map(({ faces, lit, before }) => {
    const { advice, fine } = judge({ faces, width: 640, height: 480 }, () => lit, before, 1000);
    return [advice, [...fine].sort()];
  });
}
"""
_GATHER = """
async ([module, steps]) => {
  const { Gathering } = await import(module);
  const gathering = new Gathering();
  return steps.map(([at, quality, good]) => [gathering.add({ at, face: { quality } }, good), gathering.best?.face.quality ?? null]);
}
"""


def _face(
    *, tall: float = 0.45, x: float = 0.5, yaw: float = 0.0, pitch: float = 0.0, tilt: float = 0.0, **parts: float
) -> dict[str, Any]:
    """A face whose box fills a share *tall* of the frame's height, its middle at the share *x* of the width."""
    h = tall * HEIGHT
    w = 0.75 * h
    left, top = x * WIDTH - w / 2, HEIGHT / 2 - h / 2
    across, down = 0.45 * w, 0.42 * h
    eyes, middle = top + 0.35 * h, left + w / 2
    nose = [middle + yaw * across, eyes + (0.55 + pitch) * down]
    points = [
        [middle - across / 2, eyes - tilt * across / 2],
        [middle + across / 2, eyes + tilt * across / 2],
        nose,
        [middle - across / 3, eyes + down],
        [middle + across / 3, eyes + down],
    ]
    return {"box": {"x": left, "y": top, "w": w, "h": h}, "landmarks": points, "quality_parts": FINE | parts}


def _module(console: Console) -> tuple[Any, str]:
    page = console.page("/enrol")
    script = page.locator("script[src$='js/enrol/enrol.js']").get_attribute("src")
    assert script is not None
    return page, script.replace("enrol.js", "guide.js")


def test_the_first_thing_to_put_right_is_said(console: Console) -> None:
    good = _face()
    moved = _face(x=0.42)
    cases: dict[str, list[dict[str, Any]]] = {
        "good": [{"faces": [good], "lit": 120}, {"faces": [good, _face(tall=0.1, x=0.1)], "lit": 120}],
        "nobody": [{"faces": [], "lit": 120}],
        "dark": [{"faces": [], "lit": 12}, {"faces": [good], "lit": 30}],
        "bright": [{"faces": [good], "lit": 245}],
        "flat": [{"faces": [_face(exposure=0.1)], "lit": 120}],
        "several": [{"faces": [good, _face(tall=0.4, x=0.9)], "lit": 120}],
        "closer": [{"faces": [_face(tall=0.15)], "lit": 120}],
        "back": [{"faces": [_face(tall=0.95)], "lit": 120}],
        "middle": [{"faces": [_face(x=0.85)], "lit": 120}],
        "straight": [{"faces": [_face(yaw=0.35)], "lit": 120}, {"faces": [_face(pitch=-0.3)], "lit": 120}],
        "upright": [{"faces": [_face(tilt=0.5)], "lit": 120}],
        "still": [{"faces": [good], "lit": 120, "before": {"face": moved, "at": 850}}],
        "blurred": [{"faces": [_face(sharpness=0.1)], "lit": 120}],
    }
    page, module = _module(console)

    said = page.evaluate(_JUDGE, [module, [case for some in cases.values() for case in some]])

    assert [advice for advice, _ in said] == [advice for advice, some in cases.items() for _ in some]


def test_what_is_fine_already_is_said_too(console: Console) -> None:
    page, module = _module(console)

    [(advice, fine)] = page.evaluate(_JUDGE, [module, [{"faces": [_face(tall=0.15, yaw=0.4)], "lit": 120}]])

    assert (advice, fine) == ("closer", ["light", "still"])


def test_the_best_of_several_good_frames_is_taken_and_bad_ones_take_time_back(console: Console) -> None:
    page, module = _module(console)
    good = [(0, 0.5, True), (250, 0.9, True), (500, 0.7, True), (750, 0.6, True), (1000, 0.4, True)]

    steady = page.evaluate(_GATHER, [module, good])
    disturbed = page.evaluate(_GATHER, [module, [*good[:4], (900, 0, False), (1000, 0.4, True)]])

    assert [share for share, _ in steady] == sorted(share for share, _ in steady)
    assert steady[-1] == [1, 0.9]
    assert disturbed[-1][0] < 1
