"""Status in the console: what works, what does not, and that it says so by itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console import PHONE, Console
from tests.pausing import pause
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def own(chromium: Browser, tmp_path: Path) -> Iterator[Console]:
    """The console of a service whose parts may be stopped."""
    service = Running(tmp_path / "own")
    service.workers = 1
    service.start()
    console = Console(service, chromium)
    yield console
    console.complaints.clear()
    console.close()
    service.stop()


def test_every_part_works_and_jobs_are_listed(console: Console, enrolled: str) -> None:
    page = console.page("/status", collection=enrolled)

    expect(page.locator(".parts .badge.good")).to_have_count(9)
    expect(page.locator("#status tr").filter(has_text=enrolled)).to_contain_text("casia-webface")
    expect(page.get_by_role("link", name="Import").last).to_be_visible()


def test_a_key_for_one_collection_sees_no_other(console: Console, enrolled: str) -> None:
    with console.service.http() as http:
        wanted = {"name": "one", "scopes": ["read", "search"], "collections": [enrolled]}
        made = http.post("/v1/keys", json=wanted).json()
    page = console.page("/status", key=made["secret"])

    expect(page).to_have_url(f"{console.url}/status?collection={enrolled}")
    expect(page.locator("#status")).to_contain_text(enrolled)
    expect(
        page.locator("section", has=page.get_by_role("heading", name="Collections")).locator("tbody tr")
    ).to_have_count(1)
    console.picture(page, "status")


def test_a_part_that_is_away_is_said_by_itself_and_so_is_all_of_it(own: Console) -> None:
    page = own.page("/status", language="es", width=PHONE)
    expect(page.locator("#status")).to_contain_text("Todo funciona.")
    broker = _broker(own.service)
    pause(broker)
    try:
        expect(page.locator("#status")).to_contain_text("Intermediario de mensajes: no responde", timeout=60_000)
        expect(page.locator("#status")).to_contain_text("Valkey o Redis")
        assert own.violations(page) == []
        people = own.page("/people", language="es")
        expect(people.get_by_role("heading", level=1)).to_have_text("Personas")
    finally:
        os.kill(broker, signal.SIGCONT)
    expect(page.locator("#status")).to_contain_text("Todo funciona.", timeout=60_000)
    own.service.stop()

    expect(page.locator("#away")).to_contain_text("El servicio no responde", timeout=60_000)
    expect(page.locator("#status")).to_contain_text("Todo funciona.")


def _broker(service: Running) -> int:
    """The process that is the broker; it names nothing but its port."""
    pid = service.supervisor.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    [broker] = [int(child) for child in children if b"valkey-server" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return broker
