"""DATA/instance.json."""

from pathlib import Path

import pytest

from services.errors import CannotStart
from services.local.instance import FILE_NAME, Instance


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Secrets are made once and stay."""
    instance = Instance(url="http://127.0.0.1:8000", api_key="colega_key", ports={"broker": 12345})
    secret = instance.secret("broker_password")
    instance.write(tmp_path)

    found = Instance.read(tmp_path)

    assert found == instance
    assert found.secret("broker_password") == secret
    assert found.secret("another") != secret


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """It holds a key that may do everything, whatever the umask is."""
    Instance().write(tmp_path)
    Instance().write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "[]", "{", '{"unknown": 1}'])
def test_a_damaged_file_stops_the_start(tmp_path: Path, content: str) -> None:
    """Silently making new secrets would lock us out of our own photos."""
    (tmp_path / FILE_NAME).write_text(content)

    with pytest.raises(CannotStart, match=r"instance\.json"):
        Instance.read(tmp_path)
