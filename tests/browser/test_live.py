"""The live page before a camera that plays a video: who is named, who is not, and what it does when something is missing."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import videos, watching
from tests.browser.conftest import executable
from tests.browser.console import DESKTOP, PHONE, Console
from tests.browser.videos import EXAMPLES, IN_GROUP, IN_LFW, Actor, actor, approaching, standing, walking
from tests.running import Running

pytestmark = pytest.mark.slow

SOON_MS = 30_000
"""The machine may be busy with other tests."""

MARKUP = "<img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://x")'
LOOP_S = 4.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """Three of ``examples/``: Barack Obama walks to and fro, Eileen Collins stands, Joe Biden comes closer."""
    group = examples / "queries" / "group.jpg"
    actors = [
        actor(group, IN_GROUP["Joe Biden"], approaching(330, 150, 55, 90)),
        actor(group, IN_GROUP["Eileen Collins"], standing(530, 240, 90)),
        actor(examples / "queries" / "one.jpg", EXAMPLES["queries/one.jpg"], walking(90, 300, 300, 85)),
    ]
    return videos.write(tmp_path_factory.mktemp("film") / "examples.mjpeg", actors, LOOP_S)


@pytest.fixture(scope="module")
def camera(chromium: Browser, film: Path) -> Iterator[Browser]:
    """A browser whose camera plays :func:`film`."""
    with _another(chromium, videos.camera(film)) as browser:
        yield browser


@pytest.fixture(scope="module")
def known(service: Running, examples: Path) -> str:
    """A collection with everybody in ``examples/``, by their names."""
    gallery, people = service.collection(), sorted((examples / "people").iterdir())
    service.enrol({folder.name: [photo.read_bytes() for photo in folder.iterdir()] for folder in people}, gallery)
    return gallery


@pytest.fixture(scope="module")
def two_of_three(service: Running, examples: Path) -> str:
    """A collection with two of those in :func:`film`, whose names are none; Joe Biden is a stranger."""
    gallery = service.collection()
    people = examples / "people"
    photos = {
        MARKUP: [(people / "Barack Obama" / name).read_bytes() for name in ("1.jpg", "2.jpg")],
        FORMULA: [(people / "Eileen Collins" / "1.jpg").read_bytes()],
    }
    service.enrol(photos, gallery)
    return gallery


@pytest.fixture
def live(service: Running, camera: Browser) -> Iterator[Console]:
    """The console before that camera."""
    console = Console(service, camera)
    yield console
    console.close()


def test_who_is_before_the_camera_is_named(live: Console, known: str) -> None:
    page = live.page("/live", collection=known)

    _sees(page, "Barack Obama", "Eileen Collins", "Joe Biden")

    expect(page.locator(".box[data-state=named]").first).to_be_visible()
    for name in ("Barack Obama", "Eileen Collins", "Joe Biden"):
        expect(page.get_by_role("row", name=re.compile(name))).to_be_visible()
    expect(page.locator("#latency")).to_have_text(re.compile(r"^\d"))
    expect(page.locator("#spoken")).to_contain_text("in view")
    live.picture(page, "live")


def test_nobody_has_a_name_at_first_and_a_stranger_is_unknown_in_the_end(live: Console, two_of_three: str) -> None:
    page = live.page()
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          window.said = [];
          new MutationObserver(() => said.push(document.getElementById("view").innerText.split("\\n")))
            .observe(document.getElementById("view"), { childList: true });
        })"""
    )
    page.goto(f"/live?collection={two_of_three}")

    _sees(page, MARKUP, FORMULA, "unknown")

    first = page.evaluate("() => said.flat().find(Boolean)")
    assert first == "not sure yet"
    expect(page.locator("#strangers")).to_contain_text("stayed unknown")
    assert page.locator(".box img").count() == page.locator("#view img, #attended img").count() == 0


def test_boxes_lie_on_the_faces_that_bear_the_name(
    service: Running, chromium: Browser, shared: Path, tmp_path: Path
) -> None:
    """Two who cross, one behind the other, a third who stands by, and a fourth who is enrolled from other photos, too."""
    walkers, gallery = _crossing(shared), service.collection()
    service.enrol({name: [path.read_bytes() for path in photos[:3]] for name, (photos, _) in walkers.items()}, gallery)
    actors = [actor(photos[3], face, path) for photos, (face, path) in walkers.values()]
    film = videos.write(tmp_path / "crossing.mjpeg", actors, LOOP_S, numbered=True)
    with _another(chromium, videos.camera(film)) as browser:
        console = Console(service, browser)
        page = console.page("/live", collection=gallery)
        _sees(page, *walkers)
        watching.watch(page)
        # A whole loop: they cross twice in it.
        page.wait_for_function(
            "(least) => watched.frames.length > least", arg=int(LOOP_S * videos.FPS * 0.7), timeout=60_000
        )
        drawn = watching.drawn(page)
        console.close()

    names = list(walkers)
    wrong = [one for frame in drawn for one in frame if _is_wrong(one, names, actors)]
    told = {one.name for frame in drawn for one in frame if one.state == "named"}
    assert told == set(names)
    assert wrong == []


def test_pausing_turns_the_camera_off_and_resuming_on(live: Console, known: str) -> None:
    page = live.page("/live", collection=known)
    _sees(page, "Barack Obama")

    page.keyboard.press("Alt+p")

    expect(page.get_by_text("Paused. The camera is off.")).to_be_visible()
    assert page.evaluate("() => document.getElementById('video').srcObject") is None
    expect(page.locator(".box")).to_have_count(0)
    page.get_by_role("button", name="Resume").press("Enter")
    _sees(page, "Barack Obama")


def test_the_list_of_who_was_here_is_a_file_that_no_spreadsheet_trips_over(live: Console, two_of_three: str) -> None:
    page = live.page("/live", collection=two_of_three)
    _sees(page, MARKUP, FORMULA)
    expect(page.get_by_role("row")).to_have_count(3)

    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()

    content = Path(download.value.path()).read_bytes()
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert content.startswith(b"\xef\xbb\xbf")
    assert download.value.suggested_filename.startswith("attendance-")
    assert rows[0] == ["Name", "Identifier", "First seen", "Last seen"]
    assert {row[0] for row in rows[1:3]} == {MARKUP, f"'{FORMULA}"}
    page.get_by_role("button", name="Clear the list").click()
    expect(page.locator("#announcements")).to_contain_text("empty")


def test_a_higher_threshold_leaves_everybody_unknown(live: Console, known: str) -> None:
    page = live.page("/live", collection=known)
    _sees(page, "Barack Obama")
    expect(page.locator("#decided")).to_contain_text("By the model's table")

    page.get_by_label("Threshold as the collection decides").uncheck()
    page.get_by_label("Threshold", exact=False).and_(page.get_by_role("slider")).fill("1")

    expect(page.locator("#decided")).to_have_text("By you, in this page only.")
    expect(page.locator("#view li")).to_have_text(["unknown"] * 3, timeout=SOON_MS)


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (lambda route: route.abort(), "does not answer"),
        (
            lambda route: route.fulfill(
                status=503, headers={"Retry-After": "1"}, json={"detail": "No worker answered in time."}
            ),
            "The service is busy: No worker answered in time.",
        ),
    ],
    ids=["away", "busy"],
)
def test_while_the_service_is_away_or_busy_the_page_says_so_and_goes_on_by_itself(
    live: Console, known: str, trouble: Callable[[Route], None], sentence: str
) -> None:
    page = live.page("/live", collection=known)
    _sees(page, "Barack Obama")

    page.route("**/v1/search*", trouble)
    expect(page.locator("#service-problem")).to_contain_text(sentence)
    page.unroute("**/v1/search*")

    expect(page.locator("#service-problem")).to_be_hidden(timeout=SOON_MS)
    _sees(page, "Barack Obama")
    live.complaints.clear()  # The browser tells of requests that failed.


def test_a_session_that_has_ended_leads_to_signing_in(live: Console, known: str) -> None:
    page = live.page("/live", collection=known)
    _sees(page, "Barack Obama")

    page.context.clear_cookies()

    expect(page).to_have_url(re.compile(r"/sign-in\?next=%2Flive"), timeout=SOON_MS)
    live.complaints.clear()  # The browser tells of the 401.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny"],
            "Allow it in the site settings",
        ),
        (["--use-fake-ui-for-media-stream"], "No camera was found"),
    ],
    ids=["refused", "absent"],
)
def test_why_there_is_no_picture_is_said_with_what_to_do(
    service: Running, chromium: Browser, arguments: Sequence[str], sentence: str
) -> None:
    with _another(chromium, ["--no-sandbox", *arguments]) as browser:
        console = Console(service, browser)
        page = console.page("/live")

        expect(page.get_by_role("alert")).to_contain_text(sentence)
        expect(page.get_by_role("button", name="Try again")).to_be_enabled()
        assert console.violations(page) == []
        console.close()


def test_one_of_several_cameras_is_chosen(service: Running, chromium: Browser) -> None:
    several = "--use-fake-device-for-media-stream=device-count=2"
    with _another(chromium, ["--no-sandbox", "--use-fake-ui-for-media-stream", several]) as browser:
        console = Console(service, browser)
        page = console.page("/live")
        choice = page.get_by_label("Camera", exact=True)
        expect(choice).to_be_visible()
        first = choice.input_value()

        choice.select_option(index=1)

        opened = "() => document.getElementById('video').srcObject?.getVideoTracks()[0]?.getSettings().deviceId"
        page.wait_for_function(f"(first) => ![undefined, first].includes(({opened})())", arg=first)
        expect(page.get_by_text("Nobody is in view.")).to_be_visible()
        console.close()


@pytest.mark.parametrize("language", ["en", "es"])
def test_axe_finds_nothing_wrong_whoever_is_seen(live: Console, two_of_three: str, language: str) -> None:
    page = live.page("/live", collection=two_of_three, language=language)
    _sees(page, MARKUP, {"en": "unknown", "es": "desconocido"}[language])

    for theme in ("light", "dark"):
        for width in (DESKTOP, PHONE):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 844})
            assert live.violations(page) == [], (theme, width)
            assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), (theme, width)


@contextmanager
def _another(chromium: Browser, arguments: Sequence[str]) -> Iterator[Browser]:
    """A browser that was started with other *arguments*: its cameras are said there."""
    browser = chromium.browser_type.launch(executable_path=executable(), args=list(arguments))
    yield browser
    browser.close()


def _sees(page: Page, *names: str) -> None:
    """Wait until each of *names* stands in the list of who is in view."""
    for name in names:
        expect(page.locator("#view .badge").get_by_text(name, exact=True)).to_be_visible(timeout=SOON_MS)


def _crossing(shared: Path) -> dict[str, tuple[list[Path], tuple[videos.Box, videos.Path2]]]:
    """People of two data sets by name: their photos, where the face is in them, and the way they go."""
    lfw, georgia = shared / "data" / "lfw_dev", shared / "data" / "georgia_tech" / "cropped"
    tight = (8.0, 20.0, 120.0, 165.0)
    return {
        "Lindsay Davenport": (sorted((lfw / "Lindsay_Davenport").glob("*.jpg")), (IN_LFW, walking(120, 330, 150, 80))),
        "Silvio Berlusconi": (
            sorted((lfw / "Silvio_Berlusconi").glob("*.jpg")),
            (IN_LFW, walking(330, 120, 160, 85)),
        ),
        "Person 7": (sorted((georgia / "s7").glob("*.jpg")), (tight, approaching(520, 160, 60, 100))),
        "David Beckham": (sorted((lfw / "David_Beckham").glob("*.jpg")), (IN_LFW, standing(330, 370, 80))),
    }


def _is_wrong(one: watching.Drawn, names: Sequence[str], actors: Sequence[Actor]) -> bool:
    """Whether a box names somebody else than the one whose face it is nearest to."""
    person = watching.whose(one.box, one.frame / (LOOP_S * videos.FPS), actors)
    return one.state == "named" and person is not None and one.name != names[person]
