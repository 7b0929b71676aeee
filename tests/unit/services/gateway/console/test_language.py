"""Languages: their words, and how they count."""

import pytest

from services.gateway.console.language import languages


@pytest.mark.parametrize(("count", "said"), [(0, "fotos"), (1, "foto"), (2, "fotos"), (1_000_000, "fotos")])
def test_a_language_counts_as_its_files_say(count: int, said: str) -> None:
    """And not as the library's tables do, which may know forms that the files have no words for."""
    told = languages()["es"].ngettext("%(number)s photo", "%(number)s photos", count)

    assert told == f"%(number)s {said}"
