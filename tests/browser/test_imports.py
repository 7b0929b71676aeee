"""Import: what is dropped is shown, sent, followed and explained."""

import csv
import io
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.console import PHONE, Console

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def people(tmp_path: Path, examples: Path) -> Path:
    """A folder of people with a file that is no photo, a photo without a face, and a name with markup."""
    folder = tmp_path / "staff"
    shutil.copytree(examples / "people", folder)
    (folder / MARKUP).mkdir()
    shutil.copy(examples / "queries" / "one.jpg", folder / MARKUP / "first.jpg")
    (folder / "Nobody").mkdir()
    _empty_scene(folder / "Nobody" / "wall.png")
    (folder / "notes.txt").write_text("Not a photo.")
    (folder / ".DS_Store").write_bytes(b"")
    return folder


def test_a_dropped_folder_is_shown_then_imported_and_every_photo_accounted_for(
    console: Console, gallery: str, people: Path
) -> None:
    page = console.page("/import", collection=gallery)
    expect(page.get_by_text("Nothing was imported yet")).to_be_visible()

    _drop(page, people)
    expect(page.get_by_text("7 photos of 6 people.")).to_be_visible()
    expect(page.get_by_text(MARKUP)).to_be_visible()
    expect(page.get_by_text("2 files are left out")).to_be_visible()
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 6 photos of 5 people enrolled, 1 rejected.")
    rejected = page.locator("#rejected li")
    expect(rejected).to_contain_text("staff/Nobody/wall.png")
    expect(page.locator("#rejected")).to_contain_text("No face found")
    assert rejected.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    expect(page.locator("#none-taken")).to_contain_text("Nobody 1 photo, all rejected: No face found")
    expect(page.locator("#files-rows tr")).to_have_count(7)
    expect(page.locator("#files-rows")).to_contain_text(MARKUP)
    assert console.violations(page) == []
    console.picture(page, "import", full_page=True)
    names = {person["name"] for person in console.service.client(gallery).people.list() if person["faces"]}
    assert names == {"Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden", MARKUP}


def test_an_import_is_shown_again_whatever_happens_to_the_page(console: Console, enrolled: str) -> None:
    page = console.page("/import", collection=enrolled, language="es", theme="dark", width=PHONE)

    page.locator("#recent tbody a").first.click()

    _ends_with(page, "Hecho: dadas de alta 5 fotos de 4 personas.")
    expect(page.locator("#files-rows tr")).to_have_count(5)
    assert console.violations(page) == []
    page.reload()
    _ends_with(page, "Hecho: dadas de alta 5 fotos de 4 personas.")


def test_what_was_interrupted_goes_on_where_it_was_and_nothing_is_doubled(
    console: Console, gallery: str, people: Path
) -> None:
    page = console.page("/import", collection=gallery)
    client = console.service.client(gallery)
    job = client.imports.open("staff", expected=7)
    sent = people / "Joe Biden" / "1.jpg"
    client.imports.upload(job, [("staff/Joe Biden/1.jpg", sent.read_bytes())], [{"person": "Joe Biden"}])

    page.goto(f"/import/{job}?collection={gallery}")
    expect(page.get_by_text("1 of 7 photos have arrived.")).to_be_visible()
    _choose_folder(page, people)
    expect(page.get_by_text("1 photo has arrived already and is skipped.")).to_be_visible()
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 6 photos of 5 people enrolled, 1 rejected.")
    assert len(list(client.jobs.items(job))) == 7


def test_sending_waits_for_a_busy_service_and_a_lost_answer_doubles_nothing(
    console: Console, gallery: str, people: Path
) -> None:
    page = console.page("/import", collection=gallery)
    troubles = iter(("busy", "lost"))

    def trouble(route: Route) -> None:
        kind = next(troubles, None)
        if kind == "busy":
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={"type": "/problems/too-many-requests"})
        elif kind == "lost":
            route.fetch()  # The service has it; its answer never comes.
            route.abort()
        else:
            route.continue_()

    page.route("**/v1/photos*", trouble)
    _choose_folder(page, people)
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 6 photos of 5 people enrolled, 1 rejected.")
    expect(page.locator('[data-end="done"] dd')).to_have_text("6")
    expect(page.locator('[data-end="duplicate"] dd')).to_have_text("0")
    console.complaints.clear()  # The browser tells of what failed.


def test_a_session_that_ends_in_the_middle_loses_nothing(console: Console, gallery: str, people: Path) -> None:
    page = console.page("/import", collection=gallery)
    ended = iter((True,))

    def trouble(route: Route) -> None:
        if next(ended, False):
            route.fulfill(status=401, json={"type": "/problems/unauthorized", "detail": "The session has ended."})
        else:
            route.continue_()

    page.route("**/v1/photos*", trouble)
    _choose_folder(page, people)
    page.get_by_role("button", name="Start the import").click()
    expect(page.get_by_text("Sign in again in another tab, then go on here")).to_be_visible()
    assert console.violations(page) == []
    page.get_by_role("button", name="Go on", exact=True).click()

    _ends_with(page, "Done: 6 photos of 5 people enrolled, 1 rejected.")
    console.complaints.clear()  # The browser tells of the 401.


def test_leaving_while_photos_are_sent_is_asked_about_and_streams_are_not_needed(
    console: Console, gallery: str, people: Path
) -> None:
    page = console.page("/import", collection=gallery)
    page.route("**/events*", lambda route: route.fulfill(status=503, headers={"Retry-After": "5"}, json={}))
    held: list[Route] = []
    page.route("**/v1/photos*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks handlers
    _choose_folder(page, people)
    page.get_by_role("button", name="Start the import").click()
    expect(page.get_by_text("0 of 7 sent.")).to_be_visible()

    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    page.unroute("**/v1/photos*")  # What is sent from now on is not held.
    for route in held:
        route.continue_()

    _ends_with(page, "Done: 6 photos of 5 people enrolled, 1 rejected.")
    console.complaints.clear()  # The browser tells of the 503.


def test_of_several_faces_the_right_one_is_chosen_by_hand(console: Console, gallery: str, examples: Path) -> None:
    client = console.service.client(gallery)
    job = client.imports.open("party", faces="reject")
    client.imports.upload(
        job, [("party/group.jpg", (examples / "queries" / "group.jpg").read_bytes())], [{"person": "A"}]
    )
    client.imports.close(job)
    console.service.ended(job, gallery)
    [item] = client.jobs.items(job)
    assert item["reason"] == "several_faces"
    page = console.page(f"/import/{job}", collection=gallery)

    page.get_by_role("button", name="Choose the face: party/group.jpg").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Face 1 of 3")).to_be_focused()
    assert console.violations(page) == []
    dialog.get_by_role("button", name="Face 3 of 3").click()
    dialog.get_by_label("Name").fill(MARKUP)
    dialog.get_by_role("button", name="Enrol this face").click()

    _ends_with(page, "Done: 1 photo of 1 person enrolled.")
    expect(page.locator("#rejected")).to_be_hidden()
    photo = client.send("GET", f"/v1/photos/{item['photo_id']}")
    named = [face for face in sorted(photo["faces"], key=lambda face: face["box"]["x"]) if face["person"]]
    assert [face["person"]["name"] for face in named] == [MARKUP]
    assert named[0]["box"]["x"] == max(face["box"]["x"] for face in photo["faces"])


def test_an_archive_is_unpacked_by_the_service(console: Console, gallery: str, examples: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "staff.zip", "w") as archive:
        for photo in sorted((examples / "people").rglob("*.jpg")):
            archive.write(photo, photo.relative_to(examples / "people"))
    page = console.page("/import", collection=gallery)

    page.locator("#archive").set_input_files(tmp_path / "staff.zip")
    expect(page.get_by_label("Whom a photo shows")).to_have_value("auto")
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 5 photos of 4 people enrolled.")


def test_single_photos_get_the_name_that_is_typed(console: Console, gallery: str, examples: Path) -> None:
    page = console.page("/import", collection=gallery, width=PHONE, theme="dark")

    page.locator("#photos").set_input_files(sorted((examples / "people" / "Barack Obama").iterdir()))
    page.get_by_label("Name of the person").fill("Barack Obama")
    expect(page.get_by_text("2 photos of 1 person.")).to_be_visible()
    assert console.violations(page) == []
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 2 photos of 1 person enrolled.")


def test_a_manifest_in_the_folder_says_who_is_who(
    console: Console, gallery: str, examples: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "badges"
    folder.mkdir()
    shutil.copy(examples / "people" / "Joe Biden" / "1.jpg", folder / "a.jpg")
    shutil.copy(examples / "people" / "Grace Hopper" / "1.jpg", folder / "b.jpg")
    (folder / "manifest.csv").write_text('path;person;external_id\na.jpg;"Pérez; Ana ""Nita""";e-1\n', "utf-8")
    page = console.page("/import", collection=gallery)

    _choose_folder(page, folder)
    expect(page.get_by_text("1 photo of 1 person.")).to_be_visible()
    page.get_by_text("1 file is left out").click()
    expect(page.get_by_text("Not in the manifest")).to_be_visible()
    page.get_by_role("button", name="Start the import").click()

    _ends_with(page, "Done: 1 photo of 1 person enrolled.")
    [person] = console.service.client(gallery).people.list()
    assert (person["name"], person["external_id"]) == ('Pérez; Ana "Nita"', "e-1")


def test_an_import_is_cancelled_after_being_asked_and_tried_again(console: Console, gallery: str, people: Path) -> None:
    client = console.service.client(gallery)
    job = client.imports.open("staff", expected=2)
    client.imports.upload(job, [("a.jpg", (people / "Joe Biden" / "1.jpg").read_bytes())], [{"person": "Joe Biden"}])
    page = console.page(f"/import/{job}", collection=gallery)
    expect(page.locator('[data-end="done"] dd')).to_have_text("1")

    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the import").click()

    _ends_with(page, "The import was cancelled.")
    expect(page.locator("#job-title")).to_be_focused()
    page.reload()
    expect(page.locator("#job-state")).to_have_text("Cancelled")


def test_the_report_is_safe_to_open_with_a_spreadsheet(console: Console, gallery: str, examples: Path) -> None:
    photo = (examples / "people" / "Joe Biden" / "1.jpg").read_bytes()
    job = console.service.enrol({'=HYPERLINK("http://x")': [photo]}, gallery)
    page = console.page(f"/import/{job['id']}", collection=gallery)

    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the report (CSV)").click()

    text = downloading.value.path().read_text("utf-8-sig")
    [head, line] = csv.reader(io.StringIO(text))
    assert head == ["path", "person", "status", "reason", "photo_id", "faces"]
    assert line[1:4] == ['\'=HYPERLINK("http://x")', "done", ""]


def test_a_key_that_may_not_enrol_sees_the_import_and_cannot_change_it(console: Console, enrolled: str) -> None:
    client = console.service.client()
    secret = str(client.send("POST", "/v1/keys", body={"name": "reader", "scopes": ["read"]})["secret"])
    [job] = client.send("GET", "/v1/jobs", query={"collection": enrolled})["items"]

    page = console.page(f"/import/{job['id']}", collection=enrolled, key=secret)

    expect(page.locator("#files-rows tr")).to_have_count(5)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_text("Drop")).to_have_count(0)


def _empty_scene(path: Path) -> None:
    """A wall: a picture in which nobody is."""
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(path)


def _ends_with(page: Page, sentence: str) -> None:
    """Wait for the end of the import, and for what is said then."""
    expect(page.locator("#job-sum")).to_have_text(sentence, timeout=60_000)


def _choose_folder(page: Page, folder: Path) -> None:
    page.locator("#folder").set_input_files(folder)


def _drop(page: Page, folder: Path) -> None:
    """Drag a folder from the desktop onto the page, as Chromium itself is told of it."""
    zone = page.locator("#choose").bounding_box()
    assert zone is not None
    where = {"x": zone["x"] + zone["width"] / 2, "y": zone["y"] + zone["height"] / 2}
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})
