"""The console with thousands of people: first paint, what moves while it loads, typing a search, and what pages weigh.

The people are rows made through the catalog, with one small chip for all; service, gateway and Chromium are real, and on the
same machine. Every figure is of a browser without anything in its cache, but typing.
"""

import gzip
import random
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright
from sqlalchemy.orm import Session

from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service
from services.catalog import collections, faces, listing, people
from services.catalog.engine import Catalog
from services.catalog.schema import Face, Person, Photo, new_id

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "people" / "Grace Hopper" / "1.jpg"
PEOPLE, TYPED, LOADS = 10_000, 20, 9
BUDGET_KB = 150
GIVEN = (
    "Ana",
    "José",
    "Núria",
    "Łukasz",
    "Zoë",
    "Ömer",
    "Inés",
    "Björn",
    "Chloé",
    "Iván",
    "Marta",
    "Óscar",
    "Siân",
    "Renée",
)
FAMILY = (
    *(
        "García",
        "Ibáñez",
        "Müller",
        "Nowak",
        "Peña",
        "Öztürk",
        "O'Neil",
        "Dvořák",
        "Sørensen",
        "Conceição",
        "Rossi",
        "Lefèvre",
    ),
    *(
        "Muñoz",
        "Kowalczyk",
        "Åberg",
        "Smith",
        "Jones",
        "Fernández",
        "López",
        "Gómez",
        "Pérez",
        "Ruiz",
        "Vidal",
        "Serra",
    ),
)
TEAMS = ("Research", "Sales", "Legal", "Logistics", "Support")
NOT_PHOTOS = {"document", "stylesheet", "script", "fetch", "xhr", "font", "manifest"}
WATCHED = """
window.shifted = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.shifted += entry.value; })
  .observe({ type: "layout-shift", buffered: true });
"""
"""Every shift counts, also one that follows what somebody does."""
TIMED = """
window.answered = [];
let typed = 0;
document.getElementById("query").addEventListener("input", () => { typed = performance.now(); });
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id === "found" && typed) requestAnimationFrame(() => { window.answered.push(performance.now() - typed); typed = 0; });
});
"""
"""From a letter to the frame that shows its answer."""


def main() -> None:
    """Fill a gallery, look at it, and print one table."""
    made = parser(__doc__)
    made.add_argument("--people", type=int, default=PEOPLE)
    asked = made.parse_args()
    machine = describe()
    count, loads, typed = (500, 3, 4) if asked.quick else (asked.people, LOADS, TYPED)
    with Service() as service, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        started = time.perf_counter()
        one = fill(service, count)
        filled_s = time.perf_counter() - started
        case = f"{count:,} people"
        rows = [
            *painted(service, browser, case, loads),
            *moved(service, browser, case),
            *found(service, browser, case, typed),
            *weighed(service, browser, one),
        ]
        browser.close()
    notes = [
        f"filled in {filled_s:.0f} s; medians of {loads} loads and {typed} letters typed; {browser.version} without a GPU",
        f"weights: what a page loads but photos, each file as gzip -9; the budget is {BUDGET_KB} KB",
    ]
    finish(rows, asked.json, machine=machine, notes=notes)


def fill(service: Service, count: int) -> tuple[str, str]:
    """Make *count* people with one to four faces each. Returns the ids of one of them, and of a photo of theirs."""
    with service.client() as client:
        with EXAMPLE.open("rb") as file:
            added = client.post("/v1/people", data={"name": "Grace Hopper"}, files={"photo": file}).json()
        while client.get(f"/v1/jobs/{added['job']}").json()["state"] != "done":
            time.sleep(0.05)
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    chance = random.Random(11)
    with catalog.transaction() as session:
        gallery = collections.by_name(session, collections.DEFAULT)
        [(first, photo)] = people.faces_of(session, people.by_public_id(session, gallery.id, added["id"]))
    for start in range(0, count, 500):
        with catalog.transaction() as session:
            _enrol(session, chance, range(start, min(start + 500, count)), first, photo)
    with catalog.reading() as session:
        assert listing.count(session, gallery.id) == count + 1
    catalog.close()
    return added["id"], photo.public_id


def painted(service: Service, browser: Browser, case: str, loads: int) -> list[Row]:
    """First contentful paint of the gallery, nothing in the cache."""
    rows = []
    for name, query in (("by name", ""), ("most photos first", "?sort=most_faces"), ("searched", "?query=garcia")):
        paints, answers = [], []
        for _ in range(loads):
            with _signed_in(service, browser) as context:
                page = context.new_page()
                page.goto(f"/people{query}", wait_until="networkidle")
                paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
                answers.append(page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"))
        rows.append(Row(f"{case}, {name}", "first paint, median ms", statistics.median(paints)))
        rows.append(Row(f"{case}, {name}", "first paint, worst ms", max(paints)))
        rows.append(Row(f"{case}, {name}", "HTML there, median ms", statistics.median(answers)))
    return rows


def moved(service: Service, browser: Browser, case: str) -> list[Row]:
    """Layout shift while the gallery loads and five more pages of it follow."""
    with _signed_in(service, browser) as context:
        page = context.new_page()
        page.add_init_script(WATCHED)
        page.goto("/people", wait_until="networkidle")
        for _ in range(5):
            before = page.locator(".gallery > li").count()
            page.locator(".gallery > li").last.scroll_into_view_if_needed()
            page.wait_for_function("before => document.querySelectorAll('.gallery > li').length > before", arg=before)
        page.wait_for_load_state("networkidle")
        shown = page.locator(".gallery .person").count()
        return [
            Row(f"{case}, scrolled", "layout shift", page.evaluate("window.shifted")),
            Row(f"{case}, scrolled", "people shown", shown),
        ]


def found(service: Service, browser: Browser, case: str, count: int) -> list[Row]:
    """Letter by letter: from the key to the frame that shows the answer, the pause for further letters included."""
    words = ["garcia", "nowak", "jose", "o'neil", "E-0042", "zoe smith"]
    times: list[float] = []
    with _signed_in(service, browser) as context:
        page = context.new_page()
        page.goto("/people", wait_until="networkidle")
        page.evaluate(TIMED)
        field = page.locator("#query")
        while len(times) < count:
            field.fill("")
            page.wait_for_timeout(400)
            page.evaluate("window.answered = []")
            for place, letter in enumerate(words[len(times) % len(words)]):
                field.press_sequentially(letter)
                page.wait_for_function("n => window.answered.length >= n", arg=place + 1)
            times += page.evaluate("window.answered")
    times.sort()
    return [
        Row(f"{case}, typing", "letter to answer, median ms", statistics.median(times)),
        Row(f"{case}, typing", "letter to answer, p95 ms", times[min(len(times) - 1, int(0.95 * len(times)))]),
    ]


def weighed(service: Service, browser: Browser, one: tuple[str, str]) -> list[Row]:
    """What every page loads, but photos."""
    rows = []
    with _signed_in(service, browser) as context:
        page = context.new_page()
        page.goto("/people")
        links = [str(link.get_attribute("href")) for link in page.locator(".pages a").all()]
        page.close()
        for path in [*links, f"/people/{one[0]}", f"/photos/{one[1]}"]:
            name = path.replace(one[0], "ID").replace(one[1], "ID")
            rows.append(Row(name, "KB gzip", _weight_kb(context, path)))
    return rows


def _weight_kb(context: BrowserContext, path: str) -> float:
    page = context.new_page()
    bodies: list[bytes] = []

    def heard(response: Response) -> None:
        if response.request.resource_type in NOT_PHOTOS and response.ok:
            bodies.append(response.body())

    page.on("response", heard)
    page.goto(path)
    _settled(page)
    page.close()
    return sum(len(gzip.compress(body, 9)) for body in bodies) / 1024


def _settled(page: Page) -> None:
    """Until everything that the page loads at once is there. A stream of events never ends, so there is a limit."""
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)


def _enrol(session: Session, chance: random.Random, numbers: Sequence[int], like: Face, photo: Photo) -> None:
    """People of these numbers, each with photos and faces that are copies of one."""
    shown: list[tuple[Photo, Person]] = []
    for number in numbers:
        name = f"{chance.choice(GIVEN)} {chance.choice(FAMILY)} {chance.choice(FAMILY)}"
        attributes = {"team": chance.choice(TEAMS)}
        person = people.ensure(session, like.collection_id, name, f"E-{number:05}", attributes)
        shown += [(_copied(photo), person) for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))]
    session.add_all(row for row, _ in shown)
    session.flush()
    kept = ("collection_id", "round", "rule", "box", "score", "landmarks", "quality", "chip_key", "chip_map")
    same = {column: getattr(like, column) for column in kept}
    session.add_all(
        Face(public_id=faces.new_public_id(), photo_id=row.id, person_id=person.id, **same) for row, person in shown
    )


def _copied(photo: Photo) -> Photo:
    public_id = new_id("pho")
    kept = (
        "collection_id",
        "size_bytes",
        "format",
        "source_name",
        "object_key",
        "thumbnail_key",
        "width_px",
        "height_px",
    )
    return Photo(
        public_id=public_id, sha256=public_id, state="done", **{column: getattr(photo, column) for column in kept}
    )


@contextmanager
def _signed_in(service: Service, browser: Browser) -> Iterator[BrowserContext]:
    instance = service.instance()
    url = str(instance["url"])
    answer = httpx.post(f"{url}/sign-in", data={"key": instance["api_key"]}, headers={"Origin": url}, timeout=30)
    context = browser.new_context(base_url=url, locale="en-GB", viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "colega_session", "value": answer.cookies["colega_session"], "url": url}])
    try:
        yield context
    finally:
        context.close()


def _chromium() -> str:
    names: Sequence[str] = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise SystemExit("There is no Chromium. On Debian: apt install chromium")
    return found


if __name__ == "__main__":
    main()
