"""HTTPS with a certificate made here: what browsers want before they give a page the camera."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from services.local import certificates
from tests import gatewayed

pytestmark = pytest.mark.slow


def test_a_browser_gives_the_camera_and_keeps_the_session_to_https(tmp_path: Path, chromium: Browser) -> None:
    pair = certificates.self_signed(tmp_path, "127.0.0.1")
    with gatewayed.opened(tmp_path, pair) as gateway:
        context = chromium.new_context(base_url=gateway.url, locale="en-GB", ignore_https_errors=True)
        page = context.new_page()
        page.goto("/sign-in")
        assert page.evaluate("window.isSecureContext")
        page.get_by_label("API key").fill(gateway.key)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{gateway.url}/")
        cookie = next(one for one in context.cookies() if one["name"] == "colega_session")
        assert cookie["secure"]
        assert page.evaluate("navigator.mediaDevices !== undefined")
        context.close()

        with gateway.http() as http:  # Who has not made a certificate may come back without one.
            assert "Strict-Transport-Security" not in http.get("/health/live").headers
