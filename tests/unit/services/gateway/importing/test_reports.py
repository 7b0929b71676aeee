"""Reports: text to every spreadsheet."""

import pytest

from services.gateway.importing.reports import safe


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(name: str) -> None:
    assert safe(name) == f"'{name}"


@pytest.mark.parametrize("name", ["Ana", "a=b", "1-2.jpg", "", "<img src=x onerror=alert(1)>"])
def test_everything_else_stands_as_it_is(name: str) -> None:
    assert safe(name) == name
