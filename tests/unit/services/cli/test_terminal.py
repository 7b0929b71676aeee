"""What came from outside is only ever shown."""

import io
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.terminal import plain


@given(st.text())
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    assert not [c for c in plain(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs"}]


def test_markup_in_a_name_is_text() -> None:
    out = io.StringIO()
    table = Table()
    table.add_column("name")
    table.add_row(Text(plain("[red]x[/red] \x1b[31my")))
    Console(file=out, markup=False, width=60).print(table)

    assert "[red]x[/red]" in out.getvalue()
    assert "\x1b" not in out.getvalue()
