"""The live page before a camera that plays a film: answers a second, and how long from the camera to the name on the screen.

Chromium, the service and this command share the machine's cores. Latency is from the moment at which the browser captured a
frame until the frame of the screen in which its answer is drawn.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from benchmarks.live import films, following
from benchmarks.live.films import LOOP_S, Film
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.parts import write_into
from benchmarks.running import Service
from tests.browser import videos, watching

TARGETS = {"one face": (8.0, 150.0), "ten faces": (3.0, None)}
"""Answers a second at least, and median milliseconds at most."""
_SETTLES_S = 4.0


def main() -> None:
    """Run everything, print the tables, and write them into the page that is named."""
    made = parser(__doc__)
    made.add_argument("--page", type=Path, help="also write the tables into this page, such as docs/live.md")
    asked = made.parse_args()
    machine, load = describe(), os.getloadavg()[0]
    live: list[Row] = []
    followed: list[Row] = []
    with (
        Service(arguments=["--workers", "1"]) as service,
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        service.client() as client,
    ):
        films.enrol(service)
        for film in (films.one(Path(folder)), films.ten(Path(folder))):
            with _page(playwright, service, film.file) as page:
                chromium = _version(page)
                live += _live(page, service, film, 4.0 if asked.quick else 20.0)
                live += _names(page, film)
                page.get_by_role("button", name="Pause").click()
                followed += following.compared(page, client, film, quick=asked.quick)
    notes = [
        f"640x480 at {videos.FPS} frames/s, films of {LOOP_S:g} s as Motion JPEG",
        f"Chromium {chromium}, MTCNN, one interactive worker",
    ]
    loads = [round(load, 2), round(os.getloadavg()[0], 2)]
    parts = {
        name: {"rows": [asdict(row) for row in rows], "notes": notes, "load": loads}
        for name, rows in (("live", live), ("following", followed))
    }
    finish([*live, *followed], asked.json, machine=machine, notes=notes, parts=parts)
    if asked.page:
        write_into(asked.page, parts)


def _live(page: Page, service: Service, film: Film, seconds: float) -> list[Row]:
    """What the page answers and draws in *seconds*, and whose CPU it takes."""
    page.wait_for_function("() => document.querySelectorAll('.box[data-state=named]').length > 0", timeout=60_000)
    time.sleep(_SETTLES_S)
    watching.watch(page, reading=False)
    chromium, parts, started = _chromium_cpu_s(), service.cpu_s(), time.perf_counter()
    time.sleep(seconds)
    wall_s = time.perf_counter() - started
    browser_s = _chromium_cpu_s() - chromium
    used = {part: spent - parts.get(part, 0.0) for part, spent in service.cpu_s().items()}
    answers, frames = watching.answers(page), watching.redraws(page)
    took = sorted(one["ms"] for one in answers)
    rate, median = len(answers) / wall_s, statistics.median(took)
    least, most = TARGETS[film.name]
    rows = [
        Row(film.name, "answers/s", rate, "to reach", least, rate / least),
        Row(film.name, "camera to name on screen, median ms", median, "to reach", most, most / median)
        if most
        else Row(film.name, "camera to name on screen, median ms", median),
        Row(film.name, "camera to name on screen, p95 ms", took[int(0.95 * len(took))]),
        Row(film.name, "frames shown/s", len(frames) / wall_s),
        Row(film.name, "frames shown with boxes drawn anew, %", 100 * sum(frames) / max(len(frames), 1)),
        Row(film.name, "faces an answer", statistics.mean(one["faces"] for one in answers)),
        Row(film.name, "Chromium, cores", browser_s / wall_s),
    ]
    return rows + [
        Row(film.name, f"{part}, cores", spent / wall_s)
        for part, spent in sorted(used.items())
        if spent / wall_s >= 0.005
    ]


def _names(page: Page, film: Film) -> list[Row]:
    """Over a loop: how often a box bears a name, and how often one that lies on somebody else's face."""
    watching.watch(page)
    time.sleep(LOOP_S)
    boxes = [one for frame in watching.drawn(page) for one in frame]
    named = [one for one in boxes if one.state == "named"]
    wrong = 0
    for one in named:
        person = watching.whose(one.box, one.frame / (LOOP_S * videos.FPS), film.actors)
        wrong += person is not None and one.name != film.names[person]
    return [
        Row(film.name, "boxes that bear a name, %", 100 * len(named) / max(len(boxes), 1)),
        Row(film.name, "of them a wrong one, %", 100 * wrong / max(len(named), 1)),
    ]


@contextmanager
def _page(playwright: Playwright, service: Service, film: Path) -> Iterator[Page]:
    """The live page, signed in, before a camera that plays *film*."""
    browser = playwright.chromium.launch(executable_path=_executable(), args=videos.camera(film))
    instance = service.instance()
    signed_in = httpx.post(
        f"{instance['url']}/sign-in", data={"key": instance["api_key"]}, headers={"Origin": instance["url"]}
    )
    context = browser.new_context(base_url=instance["url"], viewport={"width": 1440, "height": 900})
    cookie = {"name": "colega_session", "value": signed_in.cookies["colega_session"], "url": instance["url"]}
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    page.goto("/live")
    yield page
    browser.close()


def _chromium_cpu_s() -> float:
    """CPU seconds so far of every process of the browsers that this one has started."""
    stats = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit():
                stats[int(entry.name)] = (entry / "stat").read_text("utf-8")
    parents = {pid: int(stat.rpartition(")")[2].split()[1]) for pid, stat in stats.items()}
    spent = 0
    for pid, stat in stats.items():
        above = pid
        while above not in {0, os.getpid()}:
            above = parents.get(above, 0)
        if above and "chrom" in stat.partition("(")[2].rpartition(")")[0]:
            spent += sum(int(ticks) for ticks in stat.rpartition(")")[2].split()[11:13])
    return spent / os.sysconf("SC_CLK_TCK")


def _version(page: Page) -> str:
    browser: Browser | None = page.context.browser
    return browser.version if browser else ""


def _executable() -> str:
    found = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
    if found is None:
        raise SystemExit("There is no Chromium. Install one (apt install chromium).")
    return found


if __name__ == "__main__":
    main()
