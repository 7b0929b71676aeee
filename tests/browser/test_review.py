"""Review: unknown faces are named, people who are one merged, wrong photos moved; what is said is remembered and can be undone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.console import DESKTOP, PHONE, Console
from tests.pictures import shrunk
from tests.running import Running

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"


class Desk:
    """The people of ``examples/`` and faces of nobody: three of each of three people."""

    def __init__(self, service: Running, collection: str, examples: Path) -> None:
        self.service, self.collection, self.examples = service, collection, examples
        self.client: Client = service.client(collection)
        self.group = (examples / "queries" / "group.jpg").read_bytes()

    def take_in(self, *photos: bytes, person: str | None = None) -> None:
        job = self.client.imports.open("test", faces="all" if person is None else "largest")
        labels = [{} if person is None else {"person": person} for _ in photos]
        self.client.imports.upload(job, [(f"{n}.jpg", data) for n, data in enumerate(photos)], labels)
        self.client.imports.close(job)
        sequence = self.service.ended(job, self.collection)["sequence"]
        self.client.faces.clusters(after=sequence)  # So that no page waits for it.

    def groups(self) -> None:
        self.take_in(self.group, shrunk(self.group, 7), shrunk(self.group, 20))

    def photo(self, name: str) -> bytes:
        return (self.examples / "people" / name / "1.jpg").read_bytes()

    def faces_of(self, name: str) -> int:
        found = self.client.people.named(name)
        return len(self.client.people.show(found[0]["id"])["shown_in"]) if found else 0


@pytest.fixture
def desk(service: Running, gallery: str, examples: Path) -> Desk:
    people = sorted((examples / "people").iterdir())
    service.enrol({each.name: [photo.read_bytes() for photo in sorted(each.glob("*.jpg"))] for each in people}, gallery)
    return Desk(service, gallery, examples)


def _open(console: Console, desk: Desk, show: str = "groups", **how: str | int) -> Page:
    page = console.page(**how)  # type: ignore[arg-type]
    page.goto(f"/review?show={show}&collection={desk.collection}")
    return page


def test_a_group_is_named_with_one_click_and_that_is_undone_with_another(console: Console, desk: Desk) -> None:
    desk.groups()
    page = _open(console, desk)
    card = page.get_by_role("article").filter(has_text="Is this Joe Biden?")
    expect(page.locator("#left")).to_have_text("3 left")
    console.picture(page, "review-groups")

    card.get_by_role("button", name="Yes").click()

    expect(page.locator("#left")).to_have_text("2 left")
    expect(card).to_have_count(0)
    assert desk.faces_of("Joe Biden") == 4

    page.get_by_role("button", name="Undo").click()

    expect(page.locator("#left")).to_have_text("3 left")
    expect(card).to_be_focused()
    assert desk.faces_of("Joe Biden") == 1


def test_a_group_is_given_a_new_name_by_keyboard_alone(console: Console, desk: Desk) -> None:
    desk.groups()
    page = _open(console, desk)
    card = page.get_by_role("article", name="Group of 3 faces").first
    expect(card).to_be_visible()

    page.keyboard.press("j")
    expect(card).to_be_focused()
    page.keyboard.press("m")
    expect(page.get_by_role("combobox", name="Name")).to_be_focused()
    page.keyboard.type(HOSTILE)
    expect(page.get_by_text(f"{HOSTILE} will be enrolled as somebody new.")).to_be_visible()
    page.get_by_role("button", name="Somebody new").press("Enter")

    expect(page.get_by_text(f"3 faces are {HOSTILE}")).to_be_visible()
    assert desk.faces_of(HOSTILE) == 3
    page.keyboard.press("z")
    expect(page.get_by_text("Undone.")).to_be_visible()
    assert desk.client.people.named(HOSTILE) == []


def test_who_is_not_the_group_is_not_proposed_again(console: Console, desk: Desk) -> None:
    desk.groups()
    page = _open(console, desk)
    question = page.get_by_text("Is this Joe Biden?")
    expect(question).to_be_visible()
    page.get_by_role("article").filter(has=question).get_by_role("button", name="No").click()
    expect(page.get_by_text("Joe Biden will not be proposed for these faces again.")).to_be_visible()
    expect(question).to_have_count(0)

    page.reload()
    expect(page.get_by_role("article")).to_have_count(3)
    expect(question).to_have_count(0)


def test_faces_are_taken_out_of_a_group_or_deleted(console: Console, desk: Desk) -> None:
    desk.groups()
    page = _open(console, desk)
    card = page.get_by_role("article").first
    tiles = card.get_by_role("button", name=re.compile(r"^Face \d"))
    expect(tiles).to_have_count(3)

    tiles.first.click()
    expect(tiles.first).to_have_attribute("aria-pressed", "true")
    card.get_by_role("button", name="Take 1 out of the group").click()
    expect(tiles).to_have_count(2)
    page.reload()
    expect(page.get_by_role("article", name="Group of 2 faces")).to_have_count(1)

    pair = page.get_by_role("article", name="Group of 2 faces")
    pair.get_by_role("button", name="Delete 2 faces").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(pair).to_have_count(0)
    assert len(list(desk.client.faces.unassigned())) == 7


def test_single_faces_come_with_the_person_who_is_most_alike(console: Console, desk: Desk) -> None:
    desk.take_in(desk.group)
    page = _open(console, desk, "single")
    expect(page.locator("#left")).to_have_text("3 left")
    card = page.get_by_role("article").filter(has_text="Is this Barack Obama?")

    card.get_by_role("button", name="Yes").click()

    expect(page.locator("#left")).to_have_text("2 left")
    assert desk.faces_of("Barack Obama") == 3


def test_people_who_are_one_are_merged_with_a_way_back_and_two_are_left_alone(console: Console, desk: Desk) -> None:
    desk.take_in(shrunk(desk.photo("Joe Biden"), 3), person=HOSTILE)
    page = _open(console, desk, "pairs")
    card = page.get_by_role("article").filter(has=page.get_by_role("link", name="Joe Biden"))
    expect(card.get_by_role("link", name=HOSTILE)).to_be_visible()
    expect(card.get_by_role("listitem").get_by_role("img")).to_have_count(
        0
    )  # They say nothing that the heading does not.

    card.get_by_role("button", name="One person: keep Joe Biden").click()
    expect(page.get_by_text(f"{HOSTILE} was merged into Joe Biden.")).to_be_visible()
    assert desk.faces_of("Joe Biden") == 2
    page.get_by_role("button", name="Undo").click()
    expect(card).to_be_visible()
    assert desk.faces_of(HOSTILE) == 1

    card.get_by_role("button", name="Two people").click()
    expect(card).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Nothing to review here. Well done.")).to_be_visible()


def test_a_photo_under_a_wrong_name_is_moved_to_whom_it_shows_or_kept(console: Console, desk: Desk) -> None:
    desk.take_in(shrunk(desk.photo("Joe Biden"), 9), person="Barack Obama")
    page = _open(console, desk, "doubts")
    card = page.get_by_role("article").filter(has=page.get_by_role("button", name="It is Joe Biden"))
    expect(card).to_contain_text("Is this Barack Obama?")
    console.picture(page, "review-doubts")

    card.get_by_role("button", name="It is Joe Biden").click()
    expect(page.get_by_text("1 face is Joe Biden")).to_be_visible()
    assert desk.faces_of("Joe Biden") == 2
    page.keyboard.press("z")
    expect(card).to_be_visible()

    card.get_by_role("button", name="Keep it").click()
    expect(card).to_have_count(0)
    page.reload()
    expect(page.locator("#queue, #nothing").filter(visible=True).first).to_be_visible()
    expect(card).to_have_count(0)


def test_who_is_named_anew_has_agreed_where_that_is_ticked_and_the_next_one_not(console: Console, desk: Desk) -> None:
    basis = {"basis": "consent", "notice": {"version": "7", "text": "We recognise faces at the door."}}
    desk.client.send("PATCH", f"/v1/collections/{desk.collection}", body={"basis": basis})
    desk.take_in(desk.group)
    page = _open(console, desk, "single")
    dialog = page.get_by_role("dialog")
    agreed = dialog.get_by_label("They have agreed to notice 7")
    page.get_by_role("article").first.get_by_role("button", name="Name …").click()
    dialog.get_by_role("combobox", name="Name").fill("Newcomer")
    agreed.check()
    assert console.violations(page) == []

    dialog.get_by_role("button", name="Somebody new").click()

    expect(page.get_by_text("1 face is Newcomer")).to_be_visible()
    [one] = desk.client.people.named("Newcomer")
    assert desk.client.people.show(one["id"])["consent"]["notice"] == "7"
    page.get_by_role("article").first.get_by_role("button", name="Name …").click()
    expect(agreed).not_to_be_checked()


def test_who_may_only_look_does_not_see_it(console: Console, desk: Desk) -> None:
    key = desk.client.keys.create("reader", ["read", "search"])["secret"]
    page = console.page("/people", key=key, collection=desk.collection)

    expect(page.get_by_role("link", name="People")).to_be_visible()
    expect(page.get_by_role("link", name="Review")).to_have_count(0)
    assert page.goto("/review").status == 403  # type: ignore[union-attr]
    console.complaints.clear()  # The browser tells of the 403.


def test_axe_finds_nothing_wrong_with_any_queue(console: Console, desk: Desk) -> None:
    desk.take_in(shrunk(desk.photo("Joe Biden"), 3), person="J. Biden")
    desk.take_in(shrunk(desk.photo("Eileen Collins"), 3), person="Barack Obama")
    desk.take_in(desk.group, shrunk(desk.group, 7))
    for show, width, theme, language in (
        ("groups", DESKTOP, "light", "en"),
        ("pairs", PHONE, "dark", "es"),
        ("doubts", PHONE, "light", "es"),
        ("single", DESKTOP, "dark", "es"),
        ("groups", PHONE, "dark", "es"),
    ):
        page = _open(console, desk, show, width=width, theme=theme, language=language)
        expect(page.get_by_role("article").first).to_be_visible()
        if show == "single":
            expect(page.get_by_text("¿Es Barack Obama?").first).to_be_visible()
        page.get_by_text({"en": "Keyboard shortcuts", "es": "Atajos de teclado"}[language]).click()
        if (show, width) == ("groups", DESKTOP):
            page.get_by_role("article").first.get_by_role("button", name="Name 2 faces").click()
            expect(page.get_by_role("dialog")).to_be_visible()
        assert console.violations(page) == [], (show, width)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (show, width)
