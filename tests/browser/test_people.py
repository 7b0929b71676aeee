"""People: found as one types, looked at, added to, moved, merged and back, erased."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from services.cli.service import Document
from tests.browser.console import PHONE, Console
from tests.running import Running

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def shown(service: Running, examples: Path) -> str:
    """A collection that tests only look at: the people of ``examples/``, and one with an external id."""
    collection = service.collection()
    photos = {
        folder.name: [photo.read_bytes() for photo in sorted(folder.iterdir())]
        for folder in (examples / "people").iterdir()
    }
    service.enrol(photos, collection)
    service.client(collection).send("POST", "/v1/people", body={"name": "José Ibáñez", "external_id": "e-42"})
    return collection


@pytest.fixture
def named(service: Running, gallery: str) -> str:
    """A collection with people who have no photos."""
    for name in ("Barack Obama", "Grace Hopper", "Joe Biden"):
        service.client(gallery).send("POST", "/v1/people", body={"name": name})
    return gallery


def test_people_are_found_as_one_types_whatever_the_accents(console: Console, shown: str) -> None:
    page = console.page("/people", collection=shown)
    expect(page.get_by_role("status").first).to_have_text("5 people")
    assert _names(page) == ["Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden", "José Ibáñez"]
    console.picture(page, "people")

    page.get_by_label("Search by name").press_sequentially("ibanez jose")
    expect(page.locator("#hits")).to_have_text("1 person found")
    assert _names(page) == ["José Ibáñez"]
    expect(page).to_have_url(f"{console.url}/people?query=ibanez+jose&collection={shown}")

    page.get_by_label("Search by name").fill("E-42")
    expect(page.locator("#hits")).to_have_text("1 person found")
    page.get_by_label("Search by name").fill("nobody at all")
    expect(page.get_by_role("heading", name="Nobody found")).to_be_visible()
    page.get_by_label("Search by name").fill("")
    page.get_by_label("Sort").select_option("Most photos first")
    expect(page.locator("#hits")).to_have_text("5 people")
    assert _names(page)[0] == "Barack Obama"
    page.get_by_label("Sort").select_option("Newest first")
    expect(page).to_have_url(f"{console.url}/people?sort=newest&collection={shown}")
    assert _names(page)[0] == "José Ibáñez"


def test_the_newest_answer_wins(console: Console, shown: str) -> None:
    """An answer that was asked for before and comes after is not shown."""
    page = console.page("/people", collection=shown)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/people?*query=obama*", hold)
    with page.expect_request(lambda request: "query=obama" in request.url):
        page.get_by_label("Search by name").fill("obama")
    page.get_by_label("Search by name").fill("grace")
    expect(page.locator("#hits")).to_have_text("1 person found")
    for route in held:
        route.continue_()

    page.get_by_label("Search by name").press("Enter")
    expect(page.locator("#hits")).to_have_text("1 person found")
    assert _names(page) == ["Grace Hopper"]


def test_a_gallery_without_anybody_says_what_to_do(console: Console, gallery: str) -> None:
    page = console.page("/people", collection=gallery, theme="dark", width=PHONE)

    expect(page.get_by_role("heading", name="Nobody is enrolled yet")).to_be_visible()
    expect(page.locator("#found").get_by_role("link", name="Import photos")).to_be_visible()
    assert console.violations(page) == []


def test_more_people_come_as_one_scrolls_and_by_a_plain_link(console: Console, gallery: str) -> None:
    client = console.service.client(gallery)
    for n in range(65):
        client.send("POST", "/v1/people", body={"name": f"Person {n:02}"})
    page = console.page("/people", collection=gallery)
    expect(page.locator(".gallery > li:not(.more)")).to_have_count(60)
    link = page.get_by_role("link", name="Show more").get_attribute("href")

    page.get_by_role("link", name="Show more").scroll_into_view_if_needed()
    expect(page.locator(".gallery > li")).to_have_count(65)

    page.goto(str(link))
    assert _names(page) == [f"Person {n:02}" for n in range(60, 65)]


def test_a_person_is_renamed_and_described(console: Console, named: str) -> None:
    page = _person(console, named, "Joe Biden")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_label("Name", exact=True).first).to_be_focused()
    page.keyboard.type("Joseph Biden")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Joseph Biden")
    expect(page).to_have_title("Joseph Biden · colega")

    page.get_by_role("button", name="Edit details").click()
    page.get_by_label("External id").fill("e-9")
    page.get_by_label("Attribute", exact=True).fill("Team")
    page.get_by_label("Value").fill(MARKUP)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#head .facts")).to_contain_text(f"Team{MARKUP}")
    expect(page.get_by_role("button", name="Edit details")).to_be_focused()
    person = console.service.client(named).people.named("Joseph Biden")[0]
    assert (person["external_id"], person["attributes"]) == ("e-9", {"Team": MARKUP})

    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("Barack Obama")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Barack Obama"
    )  # With an external id two may share a name.


def test_a_click_before_the_scripts_are_there_is_done_when_they_are(console: Console, named: str) -> None:
    [grace] = console.service.client(named).people.named("Grace Hopper")
    page = console.page()
    late: list[Route] = []
    page.route("**/js/people/person.js", lambda route: late.append(route))  # noqa: PLW0108 - Playwright marks what it is given.
    page.goto(f"/people/{grace['id']}?collection={named}", wait_until="commit")
    page.get_by_role("button", name="Edit details…").click()
    expect(page.get_by_label("Erase them after")).not_to_be_visible()
    late[0].continue_()
    expect(page.get_by_label("Erase them after")).to_be_visible()


def test_a_name_that_somebody_has_is_refused_in_place(console: Console, named: str) -> None:
    page = _person(console, named, "Joe Biden")
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("Barack Obama")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("Another person has that name")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Rename")).to_be_focused()
    console.complaints.clear()  # The browser tells of the 409.


def test_what_is_changed_in_two_tabs_is_not_overwritten(console: Console, named: str) -> None:
    first, second = (_person(console, named, "Joe Biden") for _ in range(2))
    first.get_by_role("button", name="Rename").click()
    first.keyboard.type("Joe the First")
    first.keyboard.press("Enter")
    expect(first.get_by_role("heading", level=1)).to_have_text("Joe the First")

    second.get_by_role("button", name="Rename").click()
    second.keyboard.type("Joe the Second")
    second.keyboard.press("Enter")

    expect(second.get_by_text("Somebody else has changed this person meanwhile")).to_be_visible()
    expect(second.get_by_role("heading", level=1)).to_have_text("Joe the First")
    console.complaints.clear()  # The browser tells of the 412.


def test_photos_are_added_and_those_that_cannot_be_say_why(
    console: Console, named: str, examples: Path, tmp_path: Path
) -> None:
    page = _person(console, named, "Barack Obama", language="es")
    wrong = tmp_path / f"{'<b>'}.jpg"
    wrong.write_text("no picture")
    page.get_by_label("Suelta fotos aquí").set_input_files([examples / "queries" / "one.jpg", wrong])

    expect(page.get_by_text("Se ha añadido 1 foto.")).to_be_visible()
    expect(page.locator(".pictures .picture")).to_have_count(1)
    expect(page.locator("#add-results")).to_contain_text("no admitida<b>.jpgNo es una imagen")
    assert console.violations(page) == []


def test_a_face_is_looked_at_moved_and_moved_back_and_said_not_to_be_theirs(console: Console, enrolled: str) -> None:
    page = _person(console, enrolled, "Barack Obama")
    page.get_by_role("button", name="Photo 1").click()
    expect(page.locator("#face .boxed rect")).to_be_visible()
    assert console.violations(page) == []
    page.get_by_role("button", name="Move to somebody else").click()
    _choose(page, "joe", "Joe Biden")
    page.get_by_role("button", name="Choose", exact=True).click()

    expect(page.get_by_text("The face is Joe Biden\u2019s now.")).to_be_visible()
    expect(page.locator(".pictures .picture")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".pictures .picture")).to_have_count(2)

    # To somebody new; and the other is said not to be them.
    page.get_by_role("button", name="Photo 1").click()
    page.get_by_role("button", name="Move to somebody else").click()
    page.locator("#picker-name").fill(MARKUP)
    page.get_by_role("button", name="Somebody new").click()
    expect(page.get_by_text(f"The face is {MARKUP}\u2019s now.")).to_be_visible()

    page.get_by_role("button", name="Photo 1").click()
    page.get_by_role("button", name="Not them").click()
    expect(page.get_by_text("is not proposed as Barack Obama again")).to_be_visible()
    expect(page.get_by_role("heading", name="No photo yet")).to_be_visible()
    faces = {person["name"]: person["faces"] for person in console.service.client(enrolled).people.list()}
    assert (faces[MARKUP], faces["Barack Obama"]) == (1, 0)

    page.goto(f"/people?collection={enrolled}")
    expect(page.get_by_role("link", name=MARKUP)).to_be_visible()


def test_a_face_and_a_photo_are_deleted_after_a_question(console: Console, enrolled: str) -> None:
    page = _person(console, enrolled, "Barack Obama")
    for what, left in (("face", 1), ("photo", 0)):
        page.get_by_role("button", name="Photo 1").click()
        page.get_by_role("button", name=f"Delete the {what}").click()
        dialog = page.get_by_role("dialog", name=f"Delete this {what}?")
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        dialog.get_by_role("button", name="Delete").click()

        expect(page.get_by_text(f"The {what} was deleted.")).to_be_visible()
        expect(page.locator(".pictures .picture")).to_have_count(left)


def test_two_people_are_compared_merged_and_parted_again(console: Console, enrolled: str) -> None:
    client = console.service.client(enrolled)
    face = client.people.show(client.people.named("Barack Obama")[0]["id"])["shown_in"][1]["id"]
    other = client.send("POST", "/v1/people", body={"name": "President", "external_id": "p-44"})
    client.faces.assign(face, other["id"])

    page = _person(console, enrolled, "President")
    expect(page.get_by_role("heading", name="May be the same person")).to_be_visible()
    page.get_by_role("button", name="Compare and merge").click()
    page.get_by_label("Barack Obama remains").check()
    expect(page.locator("#merge-alike")).to_contain_text("probably one person")
    expect(page.locator("#merge-says")).to_contain_text("All photos of President (1) become Barack Obama\u2019s.")
    assert console.violations(page) == []
    console.picture(page, "merge")
    page.get_by_role("button", name="Merge", exact=True).click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Barack Obama")
    expect(page.locator("#merged")).to_contain_text("President")
    page.locator("#announcements").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("President is back.")).to_be_visible()
    expect(page.locator(".pictures .picture")).to_have_count(1)
    back = client.people.show(other["id"])
    assert (back["name"], back["external_id"], back["faces"]) == ("President", "p-44", 1)


def test_who_was_merged_away_is_pointed_to_and_undone_from_the_list(console: Console, named: str) -> None:
    client = console.service.client(named)
    joe, grace = (client.people.named(name)[0] for name in ("Joe Biden", "Grace Hopper"))
    client.people.merge(joe["id"], grace["id"])
    page = console.page(f"/people/{joe['id']}", collection=named)
    expect(page.get_by_role("heading", level=1)).to_have_text("This person was merged into another")

    page.get_by_role("link", name="To Grace Hopper").click()
    page.wait_for_url(f"**/people/{grace['id']}*")
    page.get_by_role("button", name="Undo: Joe Biden").click()

    expect(page.get_by_text("Joe Biden is back.")).to_be_visible()
    expect(page.locator("#merged")).to_have_count(0)
    console.complaints.clear()  # The browser tells of the 404.


def test_a_person_is_erased_when_their_name_is_written(console: Console, enrolled: str) -> None:
    page = _person(console, enrolled, "Barack Obama")
    page.get_by_role("button", name="Erase").click()
    dialog = page.get_by_role("dialog", name="Erase Barack Obama")
    expect(dialog).to_contain_text("2 photos that show nobody else who is known")
    gone = dialog.get_by_role("button", name="Erase for good")
    expect(gone).to_be_disabled()
    assert console.violations(page) == []
    page.get_by_label("write the name").fill("Barack  Obama ")
    gone.click()

    expect(page.get_by_text("Barack Obama was erased.")).to_be_visible()
    expect(page.locator("#hits")).to_have_text("3 people")


def test_who_was_erased_meanwhile_is_said_to_be(console: Console, named: str) -> None:
    page = _person(console, named, "Joe Biden")
    client = console.service.client(named)
    client.people.delete(client.people.named("Joe Biden")[0]["id"])

    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("Joseph")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("This person was erased")
    expect(page.get_by_text("Nobody finds it any more.")).to_be_visible()
    assert console.violations(page) == []
    page.get_by_role("link", name="Receipts of erasures").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Receipts of erasures")
    expect(page.locator("main")).not_to_contain_text("Joe Biden")
    console.complaints.clear()  # The browser tells of the 404s.


def test_a_key_that_may_only_read_sees_nothing_to_change(console: Console, shown: str) -> None:
    key = console.service.client().keys.create("reader", ["read"])["secret"]
    page = console.page("/people", key=key, collection=shown)
    expect(page.get_by_role("link", name="Enrol somebody")).to_have_count(0)

    page.get_by_role("link", name="Joe Biden").click()
    page.wait_for_url("**/people/per_*")

    expect(page.get_by_role("heading", level=1)).to_have_text("Joe Biden")
    expect(page.locator("main button:not(.picture)")).to_have_count(1)  # Of a dialog: "Close".
    page.get_by_role("button", name="Photo 1").click()
    expect(page.get_by_role("link", name="The whole photo")).to_be_visible()


def test_a_photo_shows_everybody_in_it(console: Console, enrolled: str) -> None:
    page = _person(console, enrolled, "Barack Obama")
    page.get_by_role("button", name="Photo 1").click()
    page.get_by_role("link", name="The whole photo").click()
    page.wait_for_url("**/photos/pho_*")
    expect(page.locator(".in-photo li")).to_have_count(1)
    expect(page.get_by_role("link", name="Barack Obama")).to_be_visible()
    assert console.violations(page) == []

    page.get_by_role("button", name="Move").click()
    page.get_by_role("button", name="Nobody\u2019s").click()
    expect(page.get_by_role("button", name="Whose is it?")).to_be_visible()
    page.get_by_role("button", name="Delete the photo").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("The photo was deleted.")).to_be_visible()


@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1440), ("es", "dark", PHONE)])
def test_axe_finds_nothing_wrong_with_a_person(
    console: Console, shown: str, language: str, theme: str, width: int
) -> None:
    page = _person(console, shown, "Barack Obama", language=language, theme=theme, width=width)
    expect(page.get_by_role("button", name={"en": "Merge", "es": "Fusionar"}[language])).to_be_visible()

    assert console.violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    console.picture(page, f"person-{language}")


def test_nothing_moves_while_the_faces_load(console: Console, shown: str) -> None:
    page = console.page()
    page.add_init_script(
        "window.shifted = 0; new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shifted += e.value })"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    for path in ("/people", f"/people/{_id(console.service, shown, 'Barack Obama')}"):
        page.goto(f"{path}?collection={shown}", wait_until="networkidle")
        assert page.evaluate("window.shifted") < 0.01


def _names(page: Page) -> list[str]:
    return page.locator(".gallery .name").all_inner_texts()


def _id(service: Running, collection: str, name: str) -> str:
    found: Document = service.client(collection).people.named(name)[0]
    return str(found["id"])


def _person(console: Console, collection: str, name: str, **how: Any) -> Page:
    return console.page(f"/people/{_id(console.service, collection, name)}", collection=collection, **how)


def _choose(page: Page, typed: str, name: str) -> None:
    """In the dialog that is open, by the keyboard."""
    page.locator("#picker-name").press_sequentially(typed)
    expect(page.get_by_role("option", name=name)).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
