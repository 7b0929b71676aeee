"""The audit in the console: for administrators, by what was asked, and whole at the press of a button."""

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console

pytestmark = pytest.mark.slow


def test_an_administrator_finds_what_was_done_and_sees_that_it_is_whole(console: Console, staff: str) -> None:
    client = console.service.client(staff)
    person = client.people.add("Somebody Else", [])["id"]
    client.people.delete(person)
    page = console.page("/audit")

    page.get_by_label("Id of a person").fill(person)
    page.get_by_role("button", name="Show these").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("person.erase")
    expect(page.get_by_text("Somebody Else")).to_have_count(0)
    page.get_by_role("button", name="See whether it is whole").click()

    expect(page.locator("#verified")).to_contain_text("The audit is whole")
    assert console.violations(page) == []


def test_others_see_no_way_to_it(console: Console, staff: str) -> None:
    made = console.service.client(staff).keys.create("reads", ["read", "manage"])
    page = console.page("/people", key=made["secret"])

    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    assert page.request.get(f"{console.url}/audit").status == 403
    console.complaints.clear()
