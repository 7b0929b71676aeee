"""The first keys: that of a container becomes one while there is no other, and whatever was done with it since stays done."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from services.catalog import keys
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.errors import CannotStart, Unauthorized
from services.gateway import app
from services.gateway.doors import Gateway

SECRET = "colega_" + "0" * 64


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """An empty one."""
    opened = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    migrate(opened)
    yield opened
    opened.close()


def _start(catalog: Catalog, folder: Path) -> None:
    """As a gateway does that is given the file of the key."""
    (folder / "key").write_text(f"{SECRET}\n", "utf-8")
    app._take_bootstrap_key(cast("Gateway", SimpleNamespace(catalog=catalog)), folder / "key")


def _scopes(catalog: Catalog) -> list[str]:
    with catalog.reading() as session:
        return keys.check(session, SECRET).scopes


def test_it_is_made_once_however_often_a_gateway_starts(catalog: Catalog, tmp_path: Path) -> None:
    _start(catalog, tmp_path)
    _start(catalog, tmp_path)

    with catalog.reading() as session:
        assert [key.name for key in keys.all_of(session)] == ["bootstrap"]
    assert _scopes(catalog) == ["admin"]


def test_a_file_that_is_not_there_is_named(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=f"{tmp_path / 'key'} cannot be read: No such file"):
        app._take_bootstrap_key(cast("Gateway", SimpleNamespace(catalog=catalog)), tmp_path / "key")


def test_a_revoked_one_stays_revoked_and_the_gateway_starts(catalog: Catalog, tmp_path: Path) -> None:
    """Also where no other admin key was made before."""
    _start(catalog, tmp_path)
    with catalog.transaction() as session:
        keys.revoke(session, keys.all_of(session)[0].public_id)

    _start(catalog, tmp_path)

    with pytest.raises(Unauthorized):
        _scopes(catalog)


def test_it_is_none_where_there_is_another_admin_key(catalog: Catalog, tmp_path: Path) -> None:
    with catalog.transaction() as session:
        keys.issue(session, "mine", ["admin"])

    _start(catalog, tmp_path)

    with pytest.raises(Unauthorized):
        _scopes(catalog)


def test_two_gateways_that_start_at_once_make_one(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither has seen the other's before its own is written."""
    _start(catalog, tmp_path)
    monkeypatch.setattr(keys, "has_admin", lambda _: False)

    _start(catalog, tmp_path)

    assert _scopes(catalog) == ["admin"]


def test_a_key_that_is_made_without_a_gateway_ends_when_it_is_said_to(catalog: Catalog) -> None:
    words = ["keys", "create", "mine", "--scope", "admin", "--offline", "--days", "30", "--json"]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "COLEGA_CATALOG_URL": str(catalog.url)}
    command = [sys.executable, "-m", "services.cli.main", *words]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    with catalog.reading() as session:
        ends_at = keys.check(session, json.loads(made.stdout)["secret"]).expires_at

    assert ends_at == pytest.approx(time.time() + 30 * 86_400, abs=120)
