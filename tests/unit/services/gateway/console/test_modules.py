"""The console's scripts: what one imports of another, the other has to offer. Browsers say so only when a page is opened."""

import re
from pathlib import Path

import pytest

from services.gateway.console import assets

_MODULES = sorted((assets.FOLDER / "js").rglob("*.js"))
_IMPORTS = re.compile(r'import \{([^}]*)\} from "([^"]+)"')
_OFFERS = re.compile(r"export (?:async )?(?:const|let|function\*?|class) (\w+)")


def _named(path: Path) -> str:
    return str(path.relative_to(assets.FOLDER))


@pytest.mark.parametrize("path", _MODULES, ids=_named)
def test_what_is_imported_is_there(path: Path) -> None:
    wanted = {
        (name.split(" as ")[0].strip(), other)
        for names, other in _IMPORTS.findall(path.read_text("utf-8"))
        for name in names.split(",")
        if name.strip()
    }

    missing = [
        f"{name} of {other}"
        for name, other in sorted(wanted)
        if name not in _OFFERS.findall((path.parent / other).resolve().read_text("utf-8"))
    ]

    assert not missing
