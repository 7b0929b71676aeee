"""The steps that run before the service is ready, each as the process that it is."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.catalog import collections, keys, photos
from services.catalog.engine import Catalog
from services.catalog.schema import Photo, new_id
from services.local.instance import Instance
from services.local.read_back import LOST
from services.photos import keys as object_keys
from services.photos.store import PhotoStore
from tests.stack import Stack


def _run(module: str, environment: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def environment(catalog_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings of a folder and an empty database."""
    return {"COLEGA_DATA": str(tmp_path), "COLEGA_CATALOG_URL": catalog_url}


def test_the_first_start_makes_a_key_that_the_second_keeps(
    environment: dict[str, str], catalog_url: str, tmp_path: Path
) -> None:
    """It may do everything, and nothing but the file of the folder's owner has it."""
    said = _run("services.local.first_steps", environment)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    first = Instance.read(tmp_path).api_key

    assert _run("services.local.first_steps", environment).returncode == 0

    assert Instance.read(tmp_path).api_key == first
    catalog = Catalog(catalog_url)
    with catalog.reading() as session:
        assert [key.scopes for key in keys.all_of(session)] == [["admin"]]
        assert keys.check(session, first or "").public_id
    catalog.close()


def test_a_key_that_was_revoked_is_replaced(environment: dict[str, str], catalog_url: str, tmp_path: Path) -> None:
    """Whoever owns the folder can always come in."""
    _run("services.local.first_steps", environment)
    first = Instance.read(tmp_path).api_key
    catalog = Catalog(catalog_url)
    with catalog.transaction() as session:
        keys.revoke(session, keys.check(session, first or "").public_id)
    catalog.close()

    _run("services.local.first_steps", environment)

    assert Instance.read(tmp_path).api_key not in {None, first}


def test_photos_that_did_not_survive_are_named(
    environment: dict[str, str], catalog_url: str, photo_store: PhotoStore, servers: Stack
) -> None:
    """One is whole, one was cut, one is gone."""
    _run("services.local.first_steps", environment)
    catalog = Catalog(catalog_url)
    names = {}
    with catalog.transaction() as session:
        collection = collections.by_name(session, collections.DEFAULT)
        for name in ("whole", "cut", "gone"):
            public_id = new_id("pho")
            names[name] = object_keys.photo(collection.id, public_id)
            photos.add(
                session,
                Photo(
                    public_id=public_id, collection_id=collection.id, sha256=hashlib.sha256(name.encode()).hexdigest(),
                    size_bytes=len(name), format="jpeg", source_name=name, object_key=names[name],
                ),
            )  # fmt: skip
    catalog.close()
    photo_store.put_many([(names["whole"], b"whole"), (names["cut"], b"cu")])

    said = _run("services.local.read_back", environment | servers.photo_settings(), "600")

    assert said.returncode == 0, said.stderr
    assert sorted(line.rpartition("object=")[2] for line in said.stderr.splitlines() if LOST in line) == sorted(
        [names["cut"], names["gone"]]
    )
