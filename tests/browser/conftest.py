"""A real Chromium before a real service. What a page complains of in its console fails the test that has opened it."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.console import Console
from tests.conftest import ROOT, missing
from tests.running import Running

CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a process."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox", *CAMERA])


@pytest.fixture
def console(service: Running, chromium: Browser) -> Iterator[Console]:
    """The console of the shared service."""
    console = Console(service, chromium)
    yield console
    console.close()


@pytest.fixture(scope="module")
def staff(service: Running) -> str:
    """A collection with the people of ``examples/``, for all tests of a module; who changes it leaves everybody in it."""
    name = service.collection()
    people = (ROOT / "examples" / "people").iterdir()
    service.enrol({one.name: [photo.read_bytes() for photo in sorted(one.iterdir())] for one in people}, name)
    return name


def executable() -> str:
    """Where this machine's Chromium is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next((path for path in map(shutil.which, names) if path), None)
    return found or missing("there is no Chromium")
