"""On what basis people are in a collection, and that they have agreed: recorded in the console."""

import json
import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.running import Running

pytestmark = pytest.mark.slow


def test_a_basis_is_recorded_and_a_person_agrees_and_withdraws(
    console: Console, service: Running, gallery: str
) -> None:
    client = service.client(gallery)
    client.send("POST", "/v1/people", body={"name": "Grace Hopper"})
    page = console.page("/people", collection=gallery)
    page.get_by_role("link", name="Basis and notice").click()
    page.get_by_label("Lawful basis").select_option("consent")
    page.get_by_label("Purpose").fill("The door")
    page.get_by_label("What people are given to read").fill("We recognise faces at the door.")
    page.get_by_label("Version of that text").fill("2026-1")
    page.get_by_label("Days that people stay").fill("365")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert client.collections.show(gallery)["basis"]["notice"]["version"] == "2026-1"
    page.reload()
    expect(page.get_by_text("The consent of 1 person is not on record.")).to_be_visible()
    assert console.violations(page) == []

    page.get_by_role("link", name="All people").click()
    page.get_by_role("link", name="Grace Hopper").click()
    page.get_by_role("button", name="Record consent…").click()
    page.get_by_role("button", name="Record consent", exact=True).click()
    expect(page.locator("#head").get_by_text("notice 2026-1")).to_be_visible()
    for name in ("Export", "Export without others"):
        with page.expect_download() as begun:
            page.get_by_role("link", name=name, exact=True).click()
        with zipfile.ZipFile(begun.value.path()) as exported:
            assert json.loads(exported.read("person.json"))["consents"][0]["notice_version"] == "2026-1"
            assert ("are left out" in exported.read("README.txt").decode()) is (name != "Export")
    page.get_by_role("button", name="Edit details…").click()
    page.get_by_label("Erase them after").fill("2999-12-31")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    [one] = client.people.named("Grace Hopper")
    assert one["expires_at"].startswith("3000-01-01")
    page.get_by_role("button", name="Withdraw consent…").click()
    page.get_by_role("button", name="Withdraw consent", exact=True).click()
    expect(page.get_by_text("Grace Hopper was erased.")).to_be_visible()
    assert client.people.named("Grace Hopper") == []
