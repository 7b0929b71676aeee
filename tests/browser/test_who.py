"""Who is this? A photo comes in by every way there is, faces are named on it, and strangers are enrolled from it."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.browser import videos
from tests.browser.console import DESKTOP, PHONE, Console

pytestmark = pytest.mark.slow

GROUP = ["Barack Obama", "Joe Biden", "Eileen Collins"]
ANSWER_MS = 20_000
MARKUP = "<img src=x onerror=alert(1)>"

_HAND_OVER = """
([kind, data, name]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}
"""
_TOO_LARGE = """
() => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(21 * 2 ** 20)], "big.jpg", { type: "image/jpeg" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}
"""
_DRAWN = """
async ([module, fmrs]) => {
  const { Answers } = await import(module);
  const list = document.getElementById("answers");
  const said = JSON.parse(document.getElementById("words-who").textContent);
  const answers = new Answers(list, said, { read: false, enrol: false }, { least: 0.0001, onselect() {}, onopen() {}, onenrol() {} });
  const faces = fmrs.map((fmr) => ({
    box: { x: 0, y: 0, w: 9, h: 9 }, quality: 1, decision: "match",
    matches: [{ person: { id: "per", name: "Ana", external_id: null }, similarity: 0.8, accepted: true, fmr, face_id: "fac" }],
  }));
  answers.draw({ faces, width: 9, height: 9, drawn: false, answer: { threshold: 0.5 } }, null);
  return [...list.children].map((item) => item.querySelector("p.hint")?.textContent ?? "");
}
"""


def look(page: Page, photo: Path | FilePayload, count: int | None = None) -> None:
    """Choose a photo and wait for its answer, of *count* faces."""
    page.locator("#file").set_input_files(photo)
    if count is not None:
        expect(page.locator("#boxes button")).to_have_count(count, timeout=ANSWER_MS)
    expect(page.locator("#progress")).to_contain_text(" s.", timeout=ANSWER_MS)


def named(page: Page) -> list[str]:
    """Who is named on the photo, in the order in which one reads it."""
    labels = page.locator("#boxes button").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    return [label.partition(": ")[2] for label in labels]


def as_file(photo: Image.Image, name: str = "photo.jpg", **how: Any) -> FilePayload:
    """A picture that was made here, as a browser is given one."""
    out = io.BytesIO()
    photo.save(out, "JPEG", **how)
    return FilePayload(name=name, mimeType="image/jpeg", buffer=out.getvalue())


def test_everybody_in_a_group_is_named_beside_their_own_enrolled_face(
    console: Console, staff: str, examples: Path
) -> None:
    page = console.page("/", collection=staff)
    expect(page.get_by_text("Drop a photo here")).to_be_visible()

    look(page, examples / "queries" / "group.jpg", 3)

    assert named(page) == GROUP
    expect(page.get_by_role("heading", name="3 faces, 3 people named.")).to_be_visible()
    expect(page.locator("#decided")).to_contain_text("by the model's own table: this collection is not calibrated yet")
    expect(page.locator("#decided")).to_contain_text("is not known before the collection is calibrated")
    first = page.locator("#answers > li").first
    expect(first.get_by_role("img", name="Barack Obama, as enrolled")).to_have_js_property("naturalWidth", 224)
    expect(first.get_by_role("img", name=re.compile(r"^Similarity 0\.\d\d, threshold 0\.43$")).first).to_be_visible()
    assert console.violations(page) == []
    console.picture(page, "who")


def test_a_stranger_is_enrolled_from_the_group_and_found_in_the_same_photo(
    console: Console, gallery: str, examples: Path
) -> None:
    page = console.page("/", collection=gallery)
    look(page, examples / "queries" / "group.jpg", 3)
    assert named(page) == ["Unknown"] * 3
    expect(page.locator("#answers > li").nth(1)).to_contain_text("Nobody is enrolled in this collection yet.")

    page.locator("#answers > li").nth(1).get_by_role("button", name="Enrol as somebody new").click()
    page.get_by_label("Name", exact=True).fill(MARKUP)
    expect(page.locator("#picker-says")).to_have_text(f"{MARKUP} will be enrolled as somebody new.")
    page.keyboard.press("Enter")

    expect(page.locator("#answers h3").nth(1)).to_have_text(f"2{MARKUP}")
    expect(page.locator("#answers h3").nth(1)).to_be_focused()
    assert named(page) == ["Unknown", MARKUP, "Unknown"]
    assert console.service.names(examples / "people" / "Joe Biden" / "1.jpg", gallery) == [MARKUP]


def test_a_face_is_given_to_somebody_enrolled_who_is_found_as_one_types(
    console: Console, staff: str, examples: Path
) -> None:
    people = console.service.client(staff).people
    [before] = people.named("Barack Obama")
    page = console.page("/", collection=staff)
    look(page, examples / "queries" / "one.jpg", 1)

    page.get_by_role("button", name="It is somebody else").click()
    page.keyboard.type("OBÁMA")
    expect(page.get_by_role("option", name="Barack Obama")).to_be_visible()
    assert console.violations(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#picker-says")).to_have_text("The photo will be added to Barack Obama.")
    page.keyboard.press("Enter")

    expect(page.get_by_text("The photo was added to Barack Obama.")).to_be_visible()
    [after] = people.named("Barack Obama")
    assert after["faces"] == before["faces"] + 1


def test_a_name_that_somebody_has_is_not_enrolled_twice_by_accident(
    console: Console, staff: str, examples: Path
) -> None:
    page = console.page("/", collection=staff)
    look(page, examples / "queries" / "one.jpg", 1)

    page.get_by_role("button", name="It is somebody else").click()
    page.get_by_label("Name", exact=True).fill("joe biden")

    expect(page.locator("#picker-says")).to_contain_text("Somebody is called joe biden already.")
    expect(page.get_by_role("button", name="Enrol", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_faces_are_gone_through_by_keyboard(console: Console, staff: str, examples: Path) -> None:
    page = console.page("/", collection=staff)
    look(page, examples / "queries" / "group.jpg", 3)
    boxes, answers = page.locator("#boxes button"), page.locator("#answers > li")

    boxes.first.focus()
    page.keyboard.press("ArrowRight")
    expect(boxes.nth(1)).to_be_focused()
    expect(answers.nth(1)).to_have_attribute("data-current", "")
    page.keyboard.press("End")
    page.keyboard.press("Enter")

    expect(answers.nth(2).get_by_role("heading")).to_be_focused()
    expect(boxes.nth(2)).to_have_attribute("aria-current", "true")
    answers.first.get_by_role("link").focus()
    expect(boxes.first).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_photo_is_pasted_or_dropped(console: Console, staff: str, examples: Path, way: str) -> None:
    page = console.page("/", collection=staff)
    photo = base64.b64encode((examples / "queries" / "one.jpg").read_bytes()).decode()

    page.evaluate(_HAND_OVER, [way, photo, "one.jpg"])

    expect(page.locator("#answers h3")).to_have_text("1Barack Obama")


def test_boxes_lie_on_the_faces_of_a_photo_that_its_tag_turns(console: Console, staff: str, examples: Path) -> None:
    """Orientation 6: the file's pixels lie on their side."""
    with Image.open(examples / "queries" / "group.jpg") as photo:
        turned = photo.rotate(90, expand=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        width, height = photo.size
    page = console.page("/", collection=staff)

    look(page, as_file(turned, exif=exif), 3)

    assert named(page) == GROUP
    stage, box = page.locator("#stage").bounding_box(), page.locator("#boxes button").nth(1).bounding_box()
    assert stage is not None
    assert box is not None
    middle = (box["x"] + box["width"] / 2 - stage["x"]) / stage["width"]
    x, _, w, _ = videos.IN_GROUP["Joe Biden"]
    assert middle == pytest.approx((x + w / 2) / width, abs=0.02)
    assert stage["width"] / stage["height"] == pytest.approx(width / height, rel=0.02)


def test_what_the_browser_cannot_show_is_shown_as_the_service_sees_it(
    console: Console, gallery: str, shared: Path
) -> None:
    page = console.page("/", collection=gallery)

    look(page, shared / "data" / "odd_files" / "made_orientation_6.heic", 1)

    expect(page.locator("#caption")).to_contain_text("This browser does not show this format itself")
    expect(page.locator("#photo")).to_have_js_property("naturalWidth", 240)


def test_what_is_no_photo_or_shows_nobody_is_said_with_what_to_do(console: Console, staff: str, examples: Path) -> None:
    page = console.page("/", collection=staff)
    look(page, examples / "queries" / "one.jpg", 1)

    page.locator("#file").set_input_files(FilePayload(name="x.jpg", mimeType="image/jpeg", buffer=b"no picture at all"))
    expect(page.get_by_role("alert")).to_contain_text("is not an image")
    expect(page.locator("#result")).to_be_hidden()
    console.complaints.clear()  # The browser tells of the 415.

    look(page, as_file(Image.new("RGB", (400, 300), (90, 120, 150))))
    expect(page.get_by_role("alert")).to_contain_text("No face was found, upright or turned.")
    expect(page.get_by_role("button", name="Look for small faces, too")).to_be_visible()

    page.evaluate(_TOO_LARGE)
    expect(page.get_by_role("alert")).to_contain_text("big.jpg has 21 MB, and 20 MB are taken.")


def test_how_strict_is_for_the_reader_to_say(console: Console, staff: str, examples: Path) -> None:
    page = console.page("/", collection=staff)
    look(page, examples / "queries" / "group.jpg", 3)

    page.get_by_text("How strict").click()
    page.get_by_label("A person is named").select_option(label="from a similarity of my own")
    page.get_by_role("slider", name="Similarity").fill("1")
    expect(page.locator("#decided")).to_contain_text("from a similarity of 1.00 on, as set above")
    expect(page.get_by_role("heading", level=2)).to_have_text("3 faces, nobody named.")

    page.get_by_label("A person is named").select_option(label="if at most 1 in 1,000 strangers is as alike")
    expect(page.locator("#decided")).to_contain_text("by the model's own table")


def test_a_key_that_may_only_search_sees_names_and_nothing_to_enrol(
    console: Console, staff: str, examples: Path
) -> None:
    with console.service.http() as http:
        key = http.post("/v1/keys", json={"name": "reception", "scopes": ["search"]}).json()["secret"]
    page = console.page("/", collection=staff, key=key)

    look(page, examples / "queries" / "group.jpg", 3)

    assert named(page) == GROUP
    expect(page.locator("#answers img")).to_have_count(0)
    expect(page.locator("#answers button")).to_have_count(0)


def test_rates_are_said_in_words(console: Console) -> None:
    page = console.page("/")
    script = page.locator("script[src$='js/who/who.js']").get_attribute("src") or ""

    said = page.evaluate(_DRAWN, [script.replace("who.js", "answers.js"), [0.25, 0.0123, 0.00042, 0.0001, None]])

    assert said == [
        "About 25% of strangers would look this alike.",
        "About 1 in 81 strangers would look this alike.",
        "About 1 in 2,400 strangers would look this alike.",
        "At most 1 in 10,000 strangers would look this alike.",
        "",
    ]


@pytest.mark.parametrize(("language", "theme", "width"), [("es", "dark", PHONE), ("en", "light", DESKTOP)])
def test_axe_finds_nothing_wrong_with_answers_and_the_dialog(
    console: Console, staff: str, examples: Path, language: str, theme: str, width: int
) -> None:
    page = console.page("/", collection=staff, language=language, theme=theme, width=width)
    look(page, examples / "queries" / "one.jpg", 1)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width

    page.locator("#answers .does button").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()

    assert console.violations(page) == []
    if language == "es":
        expect(page.get_by_role("heading", name="¿Quién es esta persona?")).to_be_visible()


def test_thirty_faces_are_named_and_each_can_be_reached(console: Console, gallery: str, shared: Path) -> None:
    people = sorted(path for path in (shared / "data" / "lfw_dev").iterdir() if len(list(path.glob("*.jpg"))) >= 2)[:30]
    known = people[:10]
    console.service.enrol({one.name: [sorted(one.glob("*.jpg"))[1].read_bytes()] for one in known}, gallery)
    whole = Image.new("RGB", (6 * 250, 5 * 250))
    for place, one in enumerate(people):
        with Image.open(min(one.glob("*.jpg"))) as photo:
            whole.paste(photo, (250 * (place % 6), 250 * (place // 6)))
    page = console.page("/", collection=gallery, width=PHONE)

    look(page, as_file(whole, quality=92))

    boxes = page.locator("#boxes button")
    assert boxes.count() >= 30
    found = [name for name in named(page) if name != "Unknown"]
    assert set(found) <= {one.name for one in known}
    assert len(found) >= 8
    boxes.last.click()
    expect(page.locator("#answers > li").last).to_be_in_viewport()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE
    assert console.violations(page) == []


def test_the_whole_page_without_photos_is_small(console: Console) -> None:
    page = console.page("/")
    paths = page.locator("link[href^='/static'], script[src]").evaluate_all(
        "all => all.map((one) => one.getAttribute('href') ?? one.getAttribute('src'))"
    )
    imported = page.evaluate("() => performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)")
    with httpx.Client(base_url=console.url, headers={"Accept-Encoding": "gzip"}) as http:
        sizes = {}
        for path in {*paths, *(one for one in imported if one.startswith("/static"))}:
            with http.stream("GET", path) as answer:
                sizes[path] = sum(len(part) for part in answer.iter_raw())

    assert len(sizes) > 8
    assert sum(sizes.values()) + len(page.content()) < 150_000


def test_whose_only_photo_is_refused_is_told_why_and_not_left_behind(
    console: Console, gallery: str, examples: Path
) -> None:
    whole = Image.new("RGB", (300, 300), (90, 90, 90))
    with Image.open(examples / "queries" / "one.jpg") as photo:
        whole.paste(photo.crop((170, 50, 310, 220)).resize((22, 27)), (130, 130))
    page = console.page("/", collection=gallery)
    look(page, as_file(whole, quality=95), 1)
    expect(page.get_by_text("A small, blurred or turned face")).to_be_visible()

    page.get_by_role("button", name="Enrol as somebody new").click()
    page.get_by_label("Name", exact=True).fill("Ana")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text(
        "Face too small. Use a photo taken from closer", timeout=ANSWER_MS
    )
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.get_by_role("button", name="Cancel").click()

    assert list(console.service.client(gallery).people.list()) == []


def test_a_service_that_does_not_answer_is_asked_again_by_a_button(
    console: Console, staff: str, examples: Path
) -> None:
    page = console.page("/", collection=staff)
    page.route("**/v1/search*", lambda route: route.abort())
    page.locator("#file").set_input_files(examples / "queries" / "one.jpg")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer.")
    page.unroute("**/v1/search*")

    page.get_by_role("button", name="Try again").click()

    expect(page.locator("#answers h3")).to_have_text("1Barack Obama", timeout=ANSWER_MS)
    expect(page.get_by_role("alert")).to_be_hidden()
    console.complaints.clear()  # The browser tells of the request that failed.
