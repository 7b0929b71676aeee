"""Which licences of models are plainly permissive."""

import pytest

from services import licences


@pytest.mark.parametrize("text", ["MIT", " apache-2.0 ", "BSD-3-Clause", "CC0-1.0", "GPL-3.0 OR MIT", "MIT AND ISC"])
def test_permissive_licences_are_told_by_their_identifier(text: str) -> None:
    assert licences.is_permissive(text)


@pytest.mark.parametrize(
    "text",
    ["", "not stated", "GPL-3.0", "CC-BY-NC-4.0", "MIT AND GPL-3.0", "MIT, research only", "MIT (see below)", "MITx"],
)
def test_whatever_else_it_says_must_be_read_by_somebody(text: str) -> None:
    assert not licences.is_permissive(text)
