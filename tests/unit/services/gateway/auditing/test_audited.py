"""What is audited: every endpoint, or a reason why not."""

from pathlib import Path

import pytest
from flask import Flask

from benchmarks import pages
from services.gateway.app import create_app
from services.gateway.auditing.audited import ACTIONS, NOT, Kind

READS = {"GET", "HEAD", "OPTIONS"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(pages.unconnected(Path(tmp_path_factory.mktemp("gateway"))))


def test_every_endpoint_is_audited_or_named_as_not(app: Flask) -> None:
    there_are = {rule.endpoint for rule in app.url_map.iter_rules()}

    assert there_are - set(ACTIONS) - set(NOT) == set(), (
        "Say in services/gateway/auditing/audited.py how these are audited."
    )
    assert (set(ACTIONS) | set(NOT)) - there_are == set(), "These are no endpoints any more."
    assert set(ACTIONS) & set(NOT) == set()


def test_whatever_changes_something_is_audited_as_a_change(app: Flask) -> None:
    changing = {rule.endpoint for rule in app.url_map.iter_rules() if (rule.methods or set()) - READS}

    looks = {name for name, action in ACTIONS.items() if action.kind is Kind.LOOK}
    computed = {name for name in looks if ACTIONS[name].word.startswith("search.")} | {"audit.check"}
    assert changing - set(ACTIONS) == {"compreface.not_offered"}
    assert looks & changing <= computed
    assert changing - looks - {"compreface.not_offered"} == set(ACTIONS) - looks


def test_actions_are_words_that_fit_their_column() -> None:
    words = {action.word for action in ACTIONS.values()}

    assert all(
        word.replace("_", "").replace(".", "").isalpha() and word.islower() and len(word) <= 64 for word in words
    )
