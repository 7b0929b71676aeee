"""Signing in, signing out, and what protects a session."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.console import DESKTOP, PHONE, Console

pytestmark = pytest.mark.slow


def test_a_key_is_shown_once_and_one_comes_to_where_one_wanted(console: Console) -> None:
    page = console.page("/people", signed_in=False)
    expect(page).to_have_url(f"{console.url}/sign-in?next=%2Fpeople")

    page.get_by_label("API key").fill(str(console.service.instance()["api_key"]))
    page.get_by_role("button", name="Sign in").click()

    expect(page).to_have_url(f"{console.url}/people")
    [cookie] = [one for one in page.context.cookies() if one["name"] == "colega_session"]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")


def test_a_wrong_key_is_refused_with_a_sentence(console: Console) -> None:
    page = console.page("/sign-in", signed_in=False)
    page.get_by_label("API key").fill("colega_nobodys")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    console.complaints.clear()  # The browser tells of the 401.


def test_who_has_signed_out_is_out_even_with_the_old_cookie(console: Console) -> None:
    page = console.page("/")
    cookie = {c["name"]: c["value"] for c in page.context.cookies()}["colega_session"]

    page.get_by_label("Settings").click()
    page.get_by_role("button", name="Sign out").click()

    expect(page).to_have_url(f"{console.url}/sign-in")
    again = httpx.get(f"{console.url}/v1/people", cookies={"colega_session": cookie})
    assert again.status_code == 401


def test_a_change_without_the_sessions_token_is_refused(console: Console) -> None:
    cookies = {"colega_session": console.session()}

    refused = httpx.post(f"{console.url}/v1/people", json={"name": "Mallory"}, cookies=cookies)
    read = httpx.get(f"{console.url}/v1/people", cookies=cookies)

    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert read.status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "body",
    [
        {"json": {"name": "Mallory"}},
        {"files": {"photo": b"x"}, "data": {"csrf_token": "guessed"}},
        {"data": {"csrf_token": "guessed"}},
        {"content": b'{"name": "Mallory"}', "headers": {"Content-Type": "text/plain"}},
    ],
    ids=["json", "multipart", "form", "text"],
)
def test_no_change_of_any_kind_goes_without_the_token(console: Console, method: str, body: dict[str, Any]) -> None:
    cookies = {"colega_session": console.session()}
    path = "/v1/people" if method == "POST" else "/v1/people/per_1"

    refused = httpx.request(method, f"{console.url}{path}", cookies=cookies, **body)

    assert refused.status_code in ({405} if method == "PUT" else {403}), refused.text


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_no_other_site_signs_a_browser_in(console: Console, headers: dict[str, str]) -> None:
    key = str(console.service.instance()["api_key"])

    refused = httpx.post(f"{console.url}/sign-in", data={"key": key}, headers=headers)

    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)


@pytest.mark.parametrize(
    "wanted", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "\t//x"]
)
def test_signing_in_leads_to_no_other_site(console: Console, wanted: str) -> None:
    key = str(console.service.instance()["api_key"])

    answer = httpx.post(f"{console.url}/sign-in", data={"key": key, "next": wanted}, headers={"Origin": console.url})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_signing_in_again_gives_a_new_session_and_ends_the_old_one(console: Console) -> None:
    old = console.session()
    key = str(console.service.instance()["api_key"])
    data, headers = {"key": key}, {"Origin": console.url}
    answer = httpx.post(f"{console.url}/sign-in", data=data, headers=headers, cookies={"colega_session": old})

    assert answer.cookies["colega_session"] != old
    assert httpx.get(f"{console.url}/v1/people", cookies={"colega_session": old}).status_code == 401


def test_a_key_revoked_in_the_middle_of_work_leads_to_signing_in_and_back(console: Console, gallery: str) -> None:
    with console.service.http() as http:
        made = http.post("/v1/keys", json={"name": "leaving", "scopes": ["admin"]}).json()
        page = console.page("/models", key=made["secret"], collection=gallery)
        http.delete(f"/v1/keys/{made['id']}")
    page.locator("#calibrate").click()

    expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    page.get_by_label("API key").fill(str(console.service.instance()["api_key"]))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{console.url}/models?collection={gallery}")
    console.complaints.clear()  # The browser tells of the 401.


def test_a_session_that_is_about_to_end_is_kept_without_losing_the_page(console: Console) -> None:
    page = console.page()
    page.clock.install()
    page.goto("/models")
    page.evaluate("document.querySelector('#main').dataset.work = 'unsaved'")
    page.clock.run_for(116 * 60_000)
    idle = page.get_by_role("dialog", name="Still there?")
    expect(idle).to_contain_text("The session ends in")
    assert console.violations(page) == []
    idle.get_by_role("button", name="Stay signed in").click()
    expect(idle).to_be_hidden()

    page.clock.run_for(12 * 3600_000)
    expect(idle.get_by_label("API key")).to_be_visible()
    idle.get_by_label("API key").fill("colega_wrong")
    idle.get_by_role("button", name="Stay signed in").click()
    expect(idle.get_by_role("alert")).to_contain_text("unknown, revoked or expired")
    idle.get_by_label("API key").fill(str(console.service.instance()["api_key"]))
    idle.get_by_role("button", name="Stay signed in").click()

    expect(idle).to_be_hidden()
    expect(page.locator("#main[data-work=unsaved]")).to_be_visible()
    console.complaints.clear()  # The browser tells of the 401.


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_signing_in(console: Console, language: str, width: int, theme: str) -> None:
    page = console.page("/sign-in", signed_in=False, language=language, width=width, theme=theme)

    assert console.violations(page) == []
    expect(page.get_by_role("heading", level=1)).to_have_text({"en": "Sign in", "es": "Iniciar sesión"}[language])
