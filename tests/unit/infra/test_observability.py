"""Alerts and dashboard: every query can be read, every alert says what to do, every panel what it shows."""

import re
import shutil
import subprocess
from itertools import combinations

import pytest
import yaml

from tests.observability import FOLDER, ROOT, dashboard, panels, queries, rules, selectors

ALERTS = [rule for rule in rules() if "alert" in rule]
RECORDS = {rule["record"] for rule in rules() if "record" in rule}
FUNCTIONS_OF_COUNTERS = re.compile(r"\b(?:rate|increase)\((\w+)")


@pytest.mark.parametrize("query", queries())
def test_a_query_is_promql_and_reads_what_is_recorded_or_measured(query: str) -> None:
    for name, _ in selectors(query):
        assert name in RECORDS or name.startswith(("colega_", "process_")) or name == "up"


@pytest.mark.parametrize("query", queries())
def test_only_what_counts_up_is_asked_for_its_rate(query: str) -> None:
    assert all(name.endswith(("_total", "_bucket", "_count")) for name in FUNCTIONS_OF_COUNTERS.findall(query))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(alert: dict[str, object]) -> None:
    told = alert["annotations"]
    assert isinstance(told, dict)
    page, _, anchor = told["runbook"].partition("#")
    titles = re.findall(r"^### (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)

    assert told["summary"]
    assert alert["for"]
    assert alert["labels"] in ({"severity": "critical"}, {"severity": "warning"}, {"severity": "info"})
    assert anchor in {title.lower().replace(" ", "-") for title in titles}


def test_the_runbook_has_nothing_that_no_alert_leads_to() -> None:
    text = (ROOT / "docs" / "observability.md").read_text("utf-8").partition("## Runbook")[2]
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", text, re.MULTILINE)}

    assert titles == {alert["annotations"]["runbook"].partition("#")[2] for alert in ALERTS}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_what(panel: dict[str, object]) -> None:
    assert panel["title"]
    assert panel["description"]
    assert panel["targets"]
    assert panel["type"] == "heatmap" or panel["fieldConfig"]["defaults"]["unit"]  # type: ignore[index]


def test_no_panel_lies_on_another() -> None:
    placed = [panel["gridPos"] for panel in dashboard()["panels"]]
    numbers = [panel["id"] for panel in dashboard()["panels"]]

    def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        return not (beside or below)

    assert len(set(numbers)) == len(numbers)
    assert not [pair for pair in combinations(placed, 2) if overlap(*pair)]
    assert all(each["x"] + each["w"] <= 24 for each in placed)


def test_what_is_mounted_is_there_and_read_as_yaml() -> None:
    composed = yaml.safe_load((ROOT / "infra" / "compose" / "observability.yml").read_text("utf-8"))
    mounts = [
        mount.split(":")[0]
        for service in composed["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]

    assert len(mounts) >= 5
    assert all((ROOT / mount).exists() for mount in mounts)
    assert all("@sha256:" in service["image"] for service in composed["services"].values())
    for file in FOLDER.rglob("*.yml"):
        assert yaml.safe_load(file.read_text("utf-8"))


def test_the_rules_fire_when_they_should_and_not_before() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here: Debian's package prometheus brings it")

    done = subprocess.run(
        [promtool, "test", "rules", str(FOLDER / "rules_test.yml")], check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
