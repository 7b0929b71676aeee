"""The console in a browser: signed in, in a language, a theme and a size."""

import os
from pathlib import Path
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page

from tests.running import Running

DESKTOP, PHONE = 1440, 390
GIVEN_UP = ("htmx:sendAbort", "htmx:afterRequest")
"""What htmx says of a request that it gave up for a newer one. Of one that failed it says more."""
SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs" / "images" / "console"

_ALL_THERE = """() => [...document.images].every((image) => {
  const { top, bottom, width } = image.getBoundingClientRect();
  return !width || !image.checkVisibility() || bottom < 0 || top > innerHeight || (image.complete && (image.naturalWidth > 0 || !image.currentSrc));
})"""
"""Every picture that is in view has arrived."""


class Console:
    """Opens pages of one service; what they complain of is told at the end."""

    def __init__(self, service: Running, browser: Browser) -> None:
        self.service = service
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        """Errors and warnings of scripts, broken content policies, failed requests; a test that provokes some empties it."""

    def page(
        self,
        path: str | None = None,
        *,
        key: str | None = None,
        signed_in: bool = True,
        language: str = "en",
        theme: str = "light",
        width: int = DESKTOP,
        collection: str = "default",
        **more: Any,
    ) -> Page:
        """A page in a browser of its own, at *path* if one is given.

        Args:
            path: Such as ``/people``.
            key: Signed in with this one; None: an administrator's.
            signed_in: Whether it is signed in.
            language: The browser's.
            theme: The device's, ``light`` or ``dark``.
            width: Of the window, CSS pixels.
            collection: Put into *path*.
            more: For Playwright's ``new_context``.
        """
        context = self._browser.new_context(
            base_url=self.url,
            locale={"en": "en-GB", "es": "es-ES"}[language],
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": width, "height": 844 if width < 800 else 900},
            reduced_motion="reduce",
            **more,
        )
        self._contexts.append(context)
        context.set_default_timeout(15_000)
        if signed_in:
            cookie = self.session(key)
            context.add_cookies([{"name": "colega_session", "value": cookie, "url": self.url, "httpOnly": True}])
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if path is not None:
            page.goto(path if collection == "default" else f"{path}?collection={collection}")
        return page

    @property
    def url(self) -> str:
        """Of the service."""
        return str(self.service.instance()["url"])

    def session(self, key: str | None = None) -> str:
        """The cookie of a new session."""
        shown = key or str(self.service.instance()["api_key"])
        answer = httpx.post(f"{self.url}/sign-in", data={"key": shown}, headers={"Origin": self.url}, timeout=30)
        assert answer.status_code == 303, answer.text
        return answer.cookies["colega_session"]

    def violations(self, page: Page) -> list[str]:
        """What axe-core finds wrong with a page as it is now, a line each."""
        found = Axe().run(page).response["violations"]
        return [f"{each['id']}: {each['help']}: {[n['html'] for n in each['nodes']][:3]}" for each in found]

    def picture(self, page: Page, name: str, **how: Any) -> None:
        """Keep a picture of *page* for the documentation, where SCREENSHOTS is set."""
        if os.environ.get("SCREENSHOTS"):
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            path = SCREENSHOTS / f"{name}.png"
            page.wait_for_function(_ALL_THERE)
            page.screenshot(path=path, **how)
            Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)

    def close(self) -> None:
        """Close all pages; fails where one has complained."""
        for context in self._contexts:
            try:
                context.close()
            except Error:
                continue  # The test has closed it.
        assert not self.complaints, self.complaints

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(GIVEN_UP):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")
