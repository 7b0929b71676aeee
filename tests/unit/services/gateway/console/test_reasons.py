"""Reasons: whatever can be rejected or refused is explained, in every language."""

from collections.abc import Iterator

import pytest
from flask import Flask

from services.errors import ColegaError
from services.gateway import problems as http
from services.gateway.console import language, reasons
from services.gateway.console.language import SOURCE, languages
from services.rejections import Rejection


@pytest.fixture(params=sorted(languages()))
def spoken(request: pytest.FixtureRequest) -> Iterator[str]:
    """The language of a request."""
    code = str(request.param)
    with Flask(__name__).test_request_context(headers={"Accept-Language": code}):
        yield code


def _types(kind: type[ColegaError]) -> Iterator[type[ColegaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _types(below)


@pytest.mark.parametrize("reason", Rejection)
def test_every_reason_is_explained_in_every_language(spoken: str, reason: Rejection) -> None:
    explained = reasons.of_rejection(reason)

    assert explained.title
    assert explained.advice.endswith(".")
    assert reasons.of_problem(f"/problems/photo-{reason.replace('_', '-')}") == explained
    assert language.language().code == spoken


def test_every_problem_is_explained_in_every_language(spoken: str) -> None:
    known = reasons.problems()
    wanted = {kind.type for kind in _types(ColegaError)} | {kind for kind, _ in http._OF_FLASK.values()}

    assert not wanted - known.keys()
    assert all(one.title and one.advice.endswith(".") for one in known.values())
    assert language.language().code == spoken


def test_the_explained_title_of_a_problem_is_the_errors_own() -> None:
    with Flask(__name__).test_request_context(headers={"Accept-Language": SOURCE}):
        for kind in _types(ColegaError):
            assert reasons.problems()[kind.type].title == kind.title


@pytest.mark.parametrize("code", sorted(languages().keys() - {SOURCE}))
def test_no_sentence_of_the_reasons_is_left_in_english(code: str) -> None:
    spoken = {}
    for each in (SOURCE, code):
        with Flask(__name__).test_request_context(headers={"Accept-Language": each}):
            everything = reasons.for_scripts()
            spoken[each] = [(n, f, s) for kind in everything.values() for n, d in kind.items() for f, s in d.items()]

    left = [ours for ours, theirs in zip(spoken[SOURCE], spoken[code], strict=True) if ours == theirs]

    assert left == []


def test_what_is_not_known_yet_is_still_explained(spoken: str) -> None:
    assert reasons.of_rejection("too_shiny").title == "Too shiny"
    assert reasons.of_problem("/problems/unheard-of", 503) == reasons.problems()["internal"]
    assert reasons.of_problem("/problems/unheard-of", 400) == reasons.problems()["refused"]
    assert spoken
