"""The door: where it is, and what is said about it."""

from pathlib import Path

import pytest

from services.errors import CannotStart
from services.local.door import Door, Wanted
from services.local.pair import Pair


@pytest.mark.parametrize(
    ("host", "address", "url"),
    [
        ("127.0.0.1", "127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0", "0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("::", "[::]:8000", "http://[::1]:8000"),
        ("10.0.0.7", "10.0.0.7:8000", "http://10.0.0.7:8000"),
        ("localhost", "localhost:8000", "http://localhost:8000"),
    ],
)
def test_this_machine_finds_it_wherever_it_listens(host: str, address: str, url: str) -> None:
    door = Door(host, 8000, None)

    assert (door.address, door.url) == (address, url)


def test_without_tls_beyond_this_machine_it_warns(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "c", tmp_path / "k", is_ours=False)

    assert not list(Door("127.0.0.1", 8000, None).told())
    assert not list(Door("localhost", 8000, None).told())
    assert any("Warning" in line for line in Door("0.0.0.0", 8000, None).told())
    assert not any("Warning" in line for line in Door("0.0.0.0", 8000, pair).told())


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotStart, match=r"192\.0\.2\.99 is no address of this machine"):
        Wanted(host="192.0.2.99").check()


def test_nothing_is_made_for_a_pair_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="cannot be read"):
        Wanted(tls=(tmp_path / "a", tmp_path / "b")).check()
