"""A backup and a restore that are killed with SIGKILL half-way: neither is ever taken for whole, and the same call goes on."""

import os
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.backups import making, manifest, restoring, verifying
from services.backups.copying import Source
from services.backups.destination import Folder
from services.catalog import people
from services.catalog.engine import Catalog
from services.catalog.migrate import is_current, migrate
from services.errors import CannotStart
from services.photos.store import PhotoStore
from tests.integration import backed
from tests.stack import Stack

pytestmark = pytest.mark.slow

TIMES = 12 if os.environ.get("COLEGA_SOAK") else 2
"""How often each is killed; where, is drawn."""


@pytest.fixture
def drawn() -> random.Random:
    """Draws when to kill; its seed is told where a test fails."""
    seed = secrets.randbelow(2**32)
    print(f"seed {seed}")  # noqa: T201
    return random.Random(seed)


@pytest.fixture
def other(servers: Stack) -> Iterator[Catalog]:
    """An empty catalog of the other kind."""
    url = servers.postgres().new_database()
    catalog = Catalog(url)
    yield catalog
    catalog.close()
    servers.postgres().drop_database(url)


def run(servers: Stack, verb: str, catalog: Catalog, bucket: str, folder: Path, at: int) -> int:
    """The command; how it ended."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **servers.photo_settings()}
    url = catalog.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.crash.backing", verb, url, bucket, str(folder), str(at)]
    return subprocess.run(command, env=environment, check=False, timeout=120).returncode


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_backup_killed_anywhere_is_none_and_the_next_one_is_whole(
    servers: Stack, catalog: Catalog, photo_store: PhotoStore, tmp_path: Path, drawn: random.Random
) -> None:
    source, place = backed.filled(catalog, photo_store), Folder(tmp_path / "backups")
    files = _files(source, tmp_path)

    for _ in range(TIMES):
        assert run(servers, "backup", catalog, photo_store.bucket, place.path, drawn.randrange(2, files)) == -9
        assert manifest.all_of(place) == []

    told = making.make(source, place, keep=0, tell=backed.quiet)
    assert verifying.verify(source.wrapping, place, at=None).problems == 0
    assert told.objects.rows == 18
    assert not list((place.path / ".partial").iterdir())
    assert len({name.split("/")[1] for name in place.names("catalogs")}) == 1


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_restore_killed_anywhere_is_started_by_nobody_and_goes_on_to_its_end(
    servers: Stack, catalog: Catalog, photo_store: PhotoStore, tmp_path: Path, drawn: random.Random, other: Catalog
) -> None:
    source, place = backed.filled(catalog, photo_store), Folder(tmp_path / "backups")
    making.make(source, place, keep=0, tell=backed.quiet)
    elsewhere = servers.another_empty_bucket()
    target = replace(source, catalog=other, store=elsewhere)
    tables = len(manifest.Manifest.read(place, manifest.chosen(place, None)).tables)

    ended: list[int] = []
    first = drawn.randrange(2, 16)
    for step in [first, tables - first + drawn.randrange(2, 14), *(drawn.randrange(2, 5) for _ in range(TIMES - 2))]:
        # All tables are checked each time; the first is killed within rows, the second within objects.
        ended.append(run(servers, "restore", other, elsewhere.bucket, place.path, tables + step))
        if ended[-1] == 0:  # Those before had left less than that.
            break
        assert not is_current(other)
        with pytest.raises(CannotStart, match="half restored"):
            migrate(other)
    if ended[-1] != 0:
        assert restoring.restore(target, place, at=None, only=None, replace=False).lost == 0

    assert ended[:2] == [-9, -9]
    assert is_current(other)
    assert backed.named(other) == backed.named(catalog)
    found, wanted = backed.everything(other), backed.everything(catalog)
    assert {name for name in wanted if found[name] != wanted[name]} == backed.NEW_AT_EVERY_RESTORE
    with other.transaction() as session:
        assert people.ensure(session, 1, "Newcomer", None, {}).id == 4


def _files(source: Source, tmp_path: Path) -> int:
    """How many files a backup has."""
    place = Folder(tmp_path / "counted")
    making.make(source, place, keep=0, tell=backed.quiet)
    return len(list(place.names()))
