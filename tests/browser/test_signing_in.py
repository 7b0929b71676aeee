"""Signing in, signing out, and what protects a session."""

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


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_wrong_with_signing_in(console: Console, language: str, width: int, theme: str) -> None:
    page = console.page("/sign-in", signed_in=False, language=language, width=width, theme=theme)

    assert console.violations(page) == []
    expect(page.get_by_role("heading", level=1)).to_have_text({"en": "Sign in", "es": "Iniciar sesión"}[language])
