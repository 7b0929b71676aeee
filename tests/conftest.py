"""What every test may ask for: data, and real servers that are shared by the run and empty at the test's start."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from pytest_socket import socket_allow_hosts

from services.errors import CannotStart
from services.photos.store import PhotoStore
from tests import default_model
from tests.postgres import PostgresMissing
from tests.running import Running
from tests.stack import Stack

if TYPE_CHECKING:
    from tests.milvus import MilvusLite

ROOT = Path(__file__).resolve().parent.parent

_LONG = [ROOT / "tests" / name for name in ("faults", "crash", "integration", "browser", "fuzz", "unit/workers")]
"""Folders of tests that start servers or train, those that take longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests are begun first: with several processes nobody waits at the end for one that was begun last."""
    items.sort(key=lambda item: [folder in item.path.parents for folder in _LONG], reverse=True)


def pytest_runtest_setup() -> None:
    """No test speaks with anything outside this machine."""
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Data and models that are not part of the repository: the folder ``shared`` beside it."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        missing("there is no folder ../shared with data and models")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """``examples/``: four people, five photos, two queries."""
    return ROOT / "examples"


@pytest.fixture(scope="session", autouse=True)
def _one_default_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All processes of a run have the same; it is made when it is first asked for."""
    mine = tmp_path_factory.getbasetemp()
    default_model.keep_in((mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "default-model")


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """The servers of this run; what is asked for is started."""
    with Stack() as stack:
        yield stack


@pytest.fixture
def valkey(servers: Stack) -> str:
    """The URL of a broker that holds nothing."""
    try:
        return servers.empty_broker()
    except CannotStart as error:
        missing(str(error))


@pytest.fixture
def photo_store(servers: Stack) -> PhotoStore:
    """A photo store that holds nothing."""
    try:
        return servers.empty_photo_store()
    except CannotStart as error:
        missing(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path, servers: Stack) -> Iterator[str]:
    """The SQLAlchemy URL of a database: SQLite, then PostgreSQL. Empty, or at the present schema for a test's ``catalog``."""
    is_migrated = "catalog" in request.fixturenames
    if request.param == "sqlite":
        if is_migrated:
            shutil.copyfile(servers.sqlite_catalog(), tmp_path / "catalog.sqlite")
        yield f"sqlite:///{tmp_path / 'catalog.sqlite'}"
        return
    try:
        postgres = servers.postgres()
    except (CannotStart, PostgresMissing) as error:
        missing(str(error))
    url = servers.postgres_catalog() if is_migrated else postgres.new_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole service, started once for the run. Each test takes a collection of its own.

    With COLEGA_TEST_INDEX=milvus its vectors are in milvus-lite: the same tests hold there.
    """
    backups = tmp_path_factory.mktemp("backups")
    with ExitStack() as ends:
        running = Running(
            tmp_path_factory.mktemp("service") / "data",
            COLEGA_BACKUP_FOLDER=str(backups),
            **_index(tmp_path_factory, ends),
        )
        running.start()
        ends.callback(running.stop)
        yield running


def _index(tmp_path_factory: pytest.TempPathFactory, ends: ExitStack) -> dict[str, str]:
    if os.environ.get("COLEGA_TEST_INDEX", "faiss") == "faiss":
        return {}
    from tests.milvus import MilvusLite  # Its client takes a second to import.

    server = MilvusLite(tmp_path_factory.mktemp("milvus"))
    server.start()
    ends.callback(server.kill)
    return {"COLEGA_INDEX_BACKEND": "milvus", "COLEGA_MILVUS_URI": server.uri}


@pytest.fixture
def gallery(service: Running) -> str:
    """A new, empty collection of the service."""
    return service.collection()


@pytest.fixture
def enrolled(service: Running, gallery: str, examples: Path) -> str:
    """A collection with the people of ``examples/``."""
    done = service.client(gallery).imports.create(examples / "people")
    assert done["done"] == done["files"], done
    return gallery


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[MilvusLite]":
    """A running milvus-lite. Only for the long tests, and where the tests decide: it takes its time."""
    if not (os.environ.get("CI") or os.environ.get("COLEGA_SOAK")):
        pytest.skip("milvus-lite is started with CI or COLEGA_SOAK set only")
    from tests.milvus import MilvusLite  # Its client takes a second to import.

    server = MilvusLite(tmp_path_factory.mktemp("milvus"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def missing(reason: str) -> NoReturn:
    """Skip where a person works; fail where the tests decide."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
