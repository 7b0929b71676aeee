"""Whom to believe over TLS: for a service on this machine exactly its own certificate."""

from pathlib import Path

import pytest

from services import trust
from services.errors import InvalidSettings
from tests import pairs


def test_the_first_certificate_is_taken_and_no_other(tmp_path: Path) -> None:
    first, second = (pairs.written(tmp_path, name)[0].read_text() for name in ("first", "second"))
    (tmp_path / "chain").write_text(f"some words\n{first}{second}")

    assert trust.leaf((tmp_path / "chain").read_text()).strip() == first.strip()


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for path in (tmp_path / "empty", tmp_path / "nowhere", tmp_path):
        with pytest.raises(InvalidSettings, match="COLEGA_CA_FILE names"):
            trust.trusting(path)
    with pytest.raises(ValueError, match="Empty"):
        trust.only(tmp_path / "empty")
