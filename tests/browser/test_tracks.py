"""Tracks and decisions of the live page, as modules in a browser, without a camera."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.running import Running

pytestmark = pytest.mark.slow

PERIOD_MS = 100
THRESHOLD = 0.45

RUN = """
async ([events, threshold]) => {
  const from = document.querySelector('script[type="module"]').src;
  const { Tracks } = await import(new URL("live/tracks.js", from));
  const tracks = new Tracks();
  return events.map(({ frame, answer, faces }) => {
    if (frame !== undefined) tracks.frame(frame);
    const taken = answer === undefined ? null : tracks.answer(answer, faces, threshold);
    return { taken, shown: tracks.shown().map((one) => ({ ...one, name: one.person?.name ?? null })) };
  });
}
"""

Event = dict[str, Any]


@pytest.fixture(scope="module")
def page(service: Running, chromium: Browser) -> Iterator[Page]:
    """A page that has the console's modules."""
    page = chromium.new_page()
    page.goto(f"{service.instance()['url']}/sign-in")
    yield page
    page.close()


def test_nobody_is_named_after_one_answer_and_everybody_after_a_few(page: Page) -> None:
    states = _states(page, [_answer(n, _face(100, "Ana")) for n in range(5)])

    assert states[0] == states[1] == [("unsure", None)]
    assert states[2] == states[4] == [("named", "Ana")]


def test_unknown_is_said_of_a_face_that_no_answer_accepts(page: Page) -> None:
    states = _states(page, [_answer(n, _face(100, "Ana", 0.3)) for n in range(6)])

    assert states[2] == [("unsure", None)]
    assert states[5] == [("unknown", None)]


def test_a_name_does_not_flicker_where_single_answers_miss_it(page: Page) -> None:
    likeness = [0.8, 0.8, 0.8, 0.3, 0.8, 0.2, 0.8, 0.8, 0.3, 0.3, 0.8]
    states = _states(page, [_answer(n, _face(100, "Ana", value)) for n, value in enumerate(likeness)])

    assert states[2:] == [[("named", "Ana")]] * 9


def test_a_name_is_taken_back_when_the_answers_keep_speaking_against_it(page: Page) -> None:
    answers = [_answer(n, _face(100, "Ana" if n < 4 else "Ben")) for n in range(12)]

    assert _states(page, answers)[-1] == [("named", "Ben")]


def test_one_person_is_one_face(page: Page) -> None:
    both = [_answer(n, _face(100, "Ana", 0.6), _face(400, "Ana", 0.8)) for n in range(6)]

    shown = _run(page, both)[-1]["shown"]

    assert [(round(one["box"]["x"]), one["name"]) for one in shown if one["state"] == "named"] == [(400, "Ana")]


def test_somebody_who_jumps_takes_the_name_along(page: Page) -> None:
    answers = [_answer(n, _face(50 if n < 4 else 500, "Ana")) for n in range(8)]

    shown = _run(page, answers)[-1]["shown"]

    assert [(round(one["box"]["x"]), one["name"]) for one in shown] == [(500, "Ana")]


def test_faces_that_cross_keep_their_names(page: Page) -> None:
    events: list[Event] = []
    for n in range(30):
        ana, ben = 50 + 18 * n, 572 - 18 * n
        faces = [_face(ana, "Ana"), _face(ben, "Ben")]
        if abs(ana - ben) < 60:
            faces = [_face(ana, "Ana", 0.3)]  # Ben is behind her, and hardly anything is recognised.
        events += [*_frames(n), _answer(n, *faces)]

    numbers = _names_by_number(_run(page, events))

    assert sorted(numbers.values()) == [{"Ana"}, {"Ben"}]


def test_an_answer_belongs_to_where_the_faces_were_when_its_frame_was_taken(page: Page) -> None:
    """Ben walks ahead of Ana. An answer comes so late that she is where he was, and says nothing of who they are."""
    events: list[Event] = []
    for n in range(9):
        events += [*_frames(n), _answer(n, _face(50 + 50 * n, "Ana"), _face(200 + 50 * n, "Ben"))]
    for n in range(9, 12):
        events += _frames(n)
    late = 9
    events.append(_answer(late, _face(50 + 50 * late, "Ana", 0.3), _face(200 + 50 * late, "Ben", 0.3)))

    before, after = (sorted(each["shown"], key=lambda one: one["box"]["x"]) for each in _run(page, events)[-2:])

    assert before[0]["box"]["x"] > 580
    assert [(one["name"], one["number"]) for one in after] == [(one["name"], one["number"]) for one in before]
    assert [one["name"] for one in after] == ["Ana", "Ben"]
    assert [abs(one["box"]["x"] - was["box"]["x"]) < 40 for one, was in zip(after, before, strict=True)] == [True] * 2


def test_an_answer_that_is_overtaken_changes_nothing(page: Page) -> None:
    events = [*(_answer(n, _face(100, "Ana")) for n in range(4)), _answer(1.5, _face(100, "Ben"), _face(400, "Cleo"))]

    *_, before, after = _run(page, events)

    assert (before["taken"], after["taken"]) == (True, False)
    assert [one["name"] for one in after["shown"]] == ["Ana"]


def test_a_face_that_is_gone_fades_and_is_forgotten(page: Page) -> None:
    events = [*(_answer(n, _face(100, "Ana")) for n in range(4)), *(_answer(n) for n in range(4, 40))]

    results = _run(page, events)

    strengths = [[one["strength"] for one in result["shown"]] for result in results]
    assert strengths[3] == [1]
    assert any(0.3 < strength[0] < 1 for strength in strengths[4:] if strength)
    assert strengths[-1] == []


def test_dealing_out_takes_the_least_cost_in_all_and_not_the_nearest_first(page: Page) -> None:
    dealt = page.evaluate(
        """async () => {
          const { assign } = await import(new URL("live/tracks.js", document.querySelector('script[type="module"]').src));
          return [assign([[1, 2], [1.1, 9]], 2), assign([[1], [0.5], [2]], 1), assign([], 3), assign([[1e6, 1e6]], 2)];
        }"""
    )

    assert dealt == [[1, 0], [-1, 0, -1], [], [-1]]


def test_a_patch_is_followed_to_a_fraction_of_a_pixel(page: Page) -> None:
    """A face drawn as a few blots moves 2.6 reduced pixels; it is found there."""
    away = page.evaluate(
        """async () => {
          const { find, template } = await import(new URL("live/follow.js", document.querySelector('script[type="module"]').src));
          const frame = (cx, cy) => {
            const data = new Uint8Array(160 * 120);
            for (let y = 0; y < 120; y++) for (let x = 0; x < 160; x++) {
              const blot = (dx, dy, s) => Math.exp(-((x - cx - dx) ** 2 + (y - cy - dy) ** 2) / s);
              data[y * 160 + x] = 60 + 120 * blot(0, 0, 90) - 80 * blot(-4, -3, 6) - 80 * blot(4, -3, 6) - 60 * blot(0, 6, 8);
            }
            return { data, width: 160, height: 120, scale: 0.25 };
          };
          const held = template(frame(80, 60), { x: 320, y: 240, w: 80, h: 96 });
          const found = find(held, frame(82.6, 58.5), 320, 240, 4);
          return [found.x - 330.4, found.y - 234, found.likeness];
        }"""
    )

    assert math.hypot(away[0], away[1]) < 2
    assert away[2] > 0.95


def test_a_spreadsheet_gets_quoted_cells_and_no_formulas(page: Page) -> None:
    csv = page.evaluate(
        """async () => {
          const { Attendance } = await import(new URL("live/attendance.js", document.querySelector('script[type="module"]').src));
          const list = new Attendance();
          const at = new Date(2026, 1, 3, 9, 5, 7).getTime();
          for (const [id, name] of [["1", 'Ana "Anita" López, jr.'], ["2", "=1+1"], ["3", "\\t+7"], ["4", "@SUM(A1)"]]) list.saw({ id, name, external_id: null }, at);
          list.saw({ id: "1", name: 'Ana "Anita" López, jr.', external_id: "007" }, at + 60000);
          list.sawStranger(8);
          return list.csv({ name: "Name", id: "Identifier", first: "First", last: "Last", unknown_faces: "Unknown faces" });
        }"""
    )

    assert csv.split("\r\n") == [
        '\ufeff"Name","Identifier","First","Last"',
        '"Ana ""Anita"" López, jr.","007","2026-02-03 09:05:07","2026-02-03 09:06:07"',
        '"\'=1+1","","2026-02-03 09:05:07","2026-02-03 09:05:07"',
        '"\'\t+7","","2026-02-03 09:05:07","2026-02-03 09:05:07"',
        '"\'@SUM(A1)","","2026-02-03 09:05:07","2026-02-03 09:05:07"',
        '"Unknown faces","1","",""',
        "",
    ]


def _face(x: float, name: str, similarity: float = 0.8) -> dict[str, Any]:
    """A face of 80 by 100 pixels, nearest to somebody."""
    return {
        "box": {"x": x, "y": 200, "w": 80, "h": 100},
        "matches": [{"id": name, "name": name, "similarity": similarity}],
    }


def _answer(period: float, *faces: dict[str, Any]) -> Event:
    """An answer about the frame at the end of a period."""
    return {"answer": PERIOD_MS * (period + 1), "faces": list(faces)}


def _frames(period: int) -> list[Event]:
    """The three frames of a period, the last at its end."""
    return [{"frame": PERIOD_MS * period + PERIOD_MS * n / 3} for n in (1, 2, 3)]


def _run(page: Page, events: Sequence[Event]) -> list[dict[str, Any]]:
    """What is shown after each of *events*."""
    found: list[dict[str, Any]] = page.evaluate(RUN, [list(events), THRESHOLD])
    return found


def _states(page: Page, events: Sequence[Event]) -> list[list[tuple[str, str | None]]]:
    return [[(one["state"], one["name"]) for one in result["shown"]] for result in _run(page, events)]


def _names_by_number(results: Sequence[dict[str, Any]]) -> dict[int, set[str]]:
    """Every name that each track has ever borne."""
    names: dict[int, set[str]] = {}
    for result in results:
        for one in result["shown"]:
            if one["name"]:
                names.setdefault(one["number"], set()).add(one["name"])
    return names
