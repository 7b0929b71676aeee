"""What holds for every page: accessible in both themes, on a phone and a desk; in the reader's language; by keyboard; shut off."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from services.gateway.console.language import languages
from tests.browser.console import DESKTOP, PHONE, Console
from tests.running import Running
from tests.unit.services.gateway.console.test_translations import written

pytestmark = pytest.mark.slow

LANGUAGES = ("en", "es")
MARKUP = "<img src=x onerror=alert(1)>"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self';"
HEADINGS = {
    "/": ("Who is this?", "¿Quién es?"),
    "/live": ("Live", "En directo"),
    "/enrol": ("Enrol", "Dar de alta"),
    "/people": ("People", "Personas"),
    "/people/basis": ("Basis and notice", "Base jurídica y aviso"),
    "/import": ("Import", "Importar"),
    "/review": ("Review", "Revisar"),
    "/models": ("Models", "Modelos"),
    "/status": ("Status", "Estado"),
    "/audit": ("Audit", "Auditoría"),
    "/erasures": ("Receipts of erasures", "Recibos de borrado"),
}
PAGES = tuple(HEADINGS)


@dataclass(frozen=True)
class Seen:
    """A page as it was seen once: in a language, a theme and a window of some width."""

    path: str
    language: str
    theme: str
    width: int
    heading: str
    spoken: str
    """The language that it says it is in."""
    headers: dict[str, str]
    texts: list[str]
    """All that is to be read on it."""
    violations: list[str]
    too_wide: int
    """By how many pixels it is wider than the window."""
    strange: int
    """How many elements a name has become."""


@dataclass(frozen=True)
class Walked:
    """Every page, seen in both themes and both widths, in each language twice."""

    pages: list[Seen]
    complaints: list[str]
    """What scripts and policies complained of."""
    asked: list[str]
    """Every address that was asked for."""


@pytest.fixture(scope="module")
def collection(service: Running, examples: Path) -> str:
    """With the people of ``examples/``, one of whom is called like markup."""
    collection = service.collection()
    service.client(collection).imports.create(examples / "people")
    client = service.client(collection)
    people = client.send("GET", "/v1/people")["items"]
    client.send("PATCH", f"/v1/people/{people[0]['id']}", body={"name": MARKUP})
    return collection


@pytest.fixture(scope="module")
def walked(service: Running, chromium: Browser, collection: str) -> Iterator[Walked]:
    """One browser, led through everything once."""
    console = Console(service, chromium)
    page = console.page()
    page.context.grant_permissions(["clipboard-read"])  # And none else: pages that want the camera stand still.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: console.complaints.append(f"dialog: {dialog.message}"))
    pages = [
        _see(console, page, f"{path}?collection={collection}", LANGUAGES[(number + turn) % 2], theme, width)
        for turn, (theme, width) in enumerate(product(("light", "dark"), (PHONE, DESKTOP)))
        for number, path in enumerate(PAGES)
    ]
    complaints = list(console.complaints)
    console.complaints.clear()
    yield Walked(pages, complaints, asked)
    console.close()


def _see(console: Console, page: Page, path: str, language: str, theme: str, width: int) -> Seen:
    page.set_viewport_size({"width": width, "height": 844 if width < 800 else 900})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.context.add_cookies([{"name": "colega_language", "value": language, "url": console.url}])
    answer = page.goto(path)
    assert answer is not None
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return Seen(
        path.partition("?")[0],
        language,
        theme,
        width,
        page.get_by_role("heading", level=1).inner_text(),
        str(page.locator("html").get_attribute("lang")),
        answer.headers,
        page.evaluate(SHOWN),
        console.violations(page),
        page.evaluate(wide),
        page.locator("img[src='x']").count(),
    )


SHOWN = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walk.nextNode()) {
    const place = walk.currentNode.parentElement;
    if (place.closest("script, style, code, [lang=en]")) continue;
    found.push(walk.currentNode.textContent.replace(/\\s+/g, " ").trim());
  }
  for (const each of document.body.querySelectorAll("[aria-label], [alt], [placeholder], [title]"))
    for (const name of ["aria-label", "alt", "placeholder", "title"]) found.push(each.getAttribute(name) ?? "");
  return found.filter((text) => text.length > 3);
}"""


def test_axe_finds_nothing_wrong_with_any_page(walked: Walked) -> None:
    assert [(one.path, one.theme, one.width, one.violations) for one in walked.pages if one.violations] == []


def test_no_page_is_wider_than_its_window(walked: Walked) -> None:
    assert [(one.path, one.width, one.too_wide) for one in walked.pages if one.too_wide > 0] == []


def test_every_page_speaks_the_readers_language(walked: Walked) -> None:
    spanish = languages()["es"].gettext
    english = {sentence for sentence in written() if spanish(sentence) != sentence}
    for one in walked.pages:
        assert (one.spoken, one.heading) == (one.language, HEADINGS[one.path][LANGUAGES.index(one.language)])
        if one.language == "es":
            assert [text for text in one.texts if text in english] == [], one.path


def test_every_page_carries_its_policy(walked: Walked) -> None:
    for one in walked.pages:
        assert one.headers["content-security-policy"].startswith(POLICY)
        assert "unsafe" not in one.headers["content-security-policy"]
        assert (one.headers["x-frame-options"], one.headers["cache-control"]) == ("DENY", "no-store")


def test_no_page_asks_anybody_else_or_complains(walked: Walked) -> None:
    ours = ("http://127.0.0.1:", "data:", "blob:")

    assert [url for url in walked.asked if not url.startswith(ours)] == []
    assert walked.complaints == []


def test_a_name_that_is_markup_is_text_on_every_page(walked: Walked) -> None:
    assert [one.path for one in walked.pages if one.strange] == []
    assert any(MARKUP in text for one in walked.pages if one.path == "/people" for text in one.texts)


def test_everything_is_reached_by_tab_and_seen_when_it_is(console: Console, collection: str) -> None:
    page = console.page()
    page.context.grant_permissions(["clipboard-read"])
    for path in PAGES:
        page.goto(f"{path}?collection={collection}")
        page.evaluate(FOCUSABLE)
        for _ in range(int(page.evaluate("document.querySelectorAll('[data-reach]').length")) + 4):
            page.keyboard.press("Tab")
            unseen = page.evaluate(FOCUSED)
            assert unseen is None, f"{path}: the focus cannot be seen on {unseen}"
        assert page.evaluate(LEFT) == [], path


LEFT = "[...document.querySelectorAll('[data-reach]')].map((each) => each.outerHTML.slice(0, 120))"

FOCUSABLE = """() => {
  document.activeElement?.blur();
  const all = document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']");
  const groups = new Set();
  for (const each of all) {
    if (each.disabled || each.tabIndex < 0 || !each.checkVisibility({ visibilityProperty: true })) continue;
    if (each.closest("details:not([open])") && each.tagName !== "SUMMARY") continue;
    if (each.type === "radio") { if (groups.has(each.name)) continue; groups.add(each.name); }
    each.dataset.reach = "";
  }
  for (const name of groups) {
    const radios = [...document.querySelectorAll(`input[type=radio][name="${name}"]`)];
    radios.forEach((each) => delete each.dataset.reach);
    (radios.find((each) => each.checked) ?? radios[0]).dataset.reach = "";
  }
}"""
FOCUSED = """() => {
  const here = document.activeElement;
  if (!here || here === document.body) return null;
  delete here.dataset.reach;
  const { outlineStyle, outlineWidth, boxShadow, borderColor } = getComputedStyle(here);
  const seen = (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
  const inner = here.matches("input[type=file].unseen, input.unseen, [data-focus-within]");
  return seen || inner ? null : here.outerHTML.slice(0, 120);
}"""


def test_the_way_past_the_menu_leads_to_the_content(console: Console, collection: str) -> None:
    page = console.page("/status", collection=collection)
    page.bring_to_front()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


def test_the_settings_are_used_by_keyboard_alone(console: Console, collection: str) -> None:
    page = console.page("/models", collection=collection)
    menu = page.locator("summary[aria-label=Settings]")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Dark")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Dark")).to_be_hidden()
    expect(menu).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Dark").focus()
    page.keyboard.press("Enter")

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(f"{console.url}/models?collection={collection}")


def test_a_page_that_is_not_there_says_so_and_leads_on(console: Console) -> None:
    page = console.page("/nothing", language="es")

    expect(page.get_by_role("heading", level=1)).to_have_text("Aquí no hay nada")
    expect(page.get_by_role("link", name="A la primera página")).to_be_visible()
    assert console.violations(page) == []
    console.complaints.clear()  # The browser tells of the 404.


def test_the_description_of_the_api_opens_without_the_internet(console: Console) -> None:
    page = console.page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs/swagger")

    expect(page.locator(".opblock").first).to_be_visible(timeout=30_000)
    assert [url for url in asked if not url.startswith((console.url, "data:", "blob:"))] == []
