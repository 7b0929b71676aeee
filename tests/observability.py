"""What is written in infra/observability: alerts, records and the dashboard, with the queries in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "infra" / "observability"


def rules() -> list[dict[str, Any]]:
    """Alerts and records."""
    files = sorted((FOLDER / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Grafana's."""
    read: dict[str, Any] = json.loads((FOLDER / "grafana" / "dashboards" / "colega.json").read_text("utf-8"))
    return read


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[str]:
    """All of them, in PromQL."""
    of_panels = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [str(rule["expr"]) for rule in rules()] + of_panels


def selectors(query: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that a query reads, and the labels that it is chosen by."""
    found: list[tuple[str, set[str]]] = []

    def look(expression: Any) -> bool:
        if isinstance(expression, promql_parser.VectorSelector):
            assert expression.name is not None, query
            found.append((expression.name, {matcher.name for matcher in expression.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(query), look)
    yield from found
