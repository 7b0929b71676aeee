"""Upkeep is killed while it seals what was plain: everything can be read, and the next run ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.photos.store import PhotoStore
from tests.integration.test_sealing import Before
from tests.stack import Stack

pytestmark = pytest.mark.slow


def test_killed_at_any_moment_and_run_again_it_ends_the_same(
    photo_store: PhotoStore, servers: Stack, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'catalog' / 'catalog.sqlite'}"
    catalog = Catalog(url)
    migrate(catalog)
    before = Before(catalog, photo_store, tmp_path)
    settings = {"PATH": os.defpath, "COLEGA_CATALOG_URL": url, **servers.photo_settings()}

    def seal(moment: str) -> int:
        command = [sys.executable, "-m", "tests.crash.sealing", moment]
        return subprocess.run(command, env=settings, check=False, timeout=120).returncode

    for moment in ("keys given", "objects sealed", "photos sealed", "object sealed"):
        assert seal(moment) == -9
        assert before.read() == before.held
    assert seal("never") == 0

    assert (before.read(), before.lying(), before.unsealed()) == (before.held, {True}, 0)
    catalog.close()
