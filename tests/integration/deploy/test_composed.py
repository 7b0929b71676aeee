"""The very containers of docker-compose.yml, started as plain processes on hosts of their own, and used as a company would."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.cli.answers import SearchAnswer
from services.cli.client import Client
from services.local import ports
from tests.integration.deploy import composed, hosts
from tests.integration.deploy.hosts import Hosts
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


NEWCOMER = "Grace Hopper"
_SPEAK = "import socket; socket.create_connection(({host!r}, {port}), timeout=2)"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Everything that `docker compose up -d` starts after `infra/compose/make-env`, with the store that there is a wheel of."""
    if not hosts.may():
        pytest.skip("only root, where it may make namespaces, can start containers as hosts of their own")
    folder = tmp_path_factory.mktemp("deployed")
    port = ports.choose(["gateway"], {})["gateway"]
    chosen = {"DEPLOY_PORT": str(port), "DEPLOY_SEARCH_PROCESSES": "1", "DEPLOY_BULK_PROCESSES": "1"}
    with Hosts(composed.made_ready(folder, "seaweedfs,cpu,faiss", **chosen), folder) as started:
        started.start()
        started.publish()
        yield started


@pytest.fixture
def url(deployed: Hosts) -> str:
    """Where the file publishes the gateway."""
    [(address, port, _)] = deployed.hosts["gateway"].service.ports
    return f"http://{address}:{port}"


@pytest.fixture
def key(deployed: Hosts) -> str:
    """The first key, which the containers were given as a secret."""
    return deployed.composed.secrets["bootstrap_key"].read_text("utf-8").strip()


def test_people_are_imported_found_and_added_through_the_published_port(
    url: str, key: str, examples: Path, tmp_path: Path
) -> None:
    eventually(lambda: _status(url) == "ok", within_s=120.0)
    newcomer = examples / "people" / NEWCOMER
    shutil.copytree(examples / "people", tmp_path / "people", ignore=shutil.ignore_patterns(NEWCOMER))

    imported = _colega(url, key, "import", str(tmp_path / "people"))

    assert imported.returncode == 0, imported.stderr
    [photo, *_] = sorted(newcomer.iterdir())
    with Client(url, key) as client:
        assert _names(client.search(examples / "queries" / "one.jpg")) == ["Barack Obama"]
        assert _names(client.search(examples / "queries" / "group.jpg")) == [
            "Barack Obama",
            "Eileen Collins",
            "Joe Biden",
        ]
        assert _names(client.search(photo)) == ["unknown"]

        added = _colega(url, key, "people", "add", NEWCOMER, str(photo))

        assert added.returncode == 0, added.stderr
        assert _names(client.search(photo)) == [NEWCOMER]


@pytest.mark.parametrize("name", ["searcher", "valkey"])
def test_a_container_whose_process_is_killed_is_started_again_and_serves(
    deployed: Hosts, url: str, key: str, examples: Path, name: str
) -> None:
    eventually(lambda: _status(url) == "ok")
    photo = next((examples / "queries").glob("*.jpg"))
    host = deployed.hosts[name]
    before = host.starts

    os.kill(host.main, signal.SIGKILL)

    def serves() -> bool:
        deployed.tend()
        return host.starts > before and deployed.is_healthy(host) and _search(url, key, photo) == httpx.codes.OK

    eventually(serves)


def test_a_container_is_what_the_file_makes_of_it(deployed: Hosts) -> None:
    looked = "id -u; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; for at in / /opt /data /tmp; do [ -w $at ] && echo $at; done"
    said = deployed.inside(deployed.hosts["gateway"], "sh", "-c", looked).stdout.split()

    assert said == ["10001", "CapEff:", "0" * 16, "NoNewPrivs:", "1", "/data", "/tmp"]
    elsewhere = deployed.inside(deployed.hosts["gateway"], "python", "-c", _SPEAK.format(host="postgres", port=5432))
    assert elsewhere.returncode == 0
    for name in ("minio", "10.99.0.1"):
        assert deployed.inside(
            deployed.hosts["searcher"], "python", "-c", _SPEAK.format(host=name, port=9000)
        ).returncode


def test_only_the_gateway_is_reached_from_outside(deployed: Hosts) -> None:
    published = {name for name, host in deployed.hosts.items() if host.service.ports}

    assert published == {"gateway"}
    assert set(deployed.addresses["front"]) == {"gateway"}


def _names(answer: SearchAnswer) -> list[str]:
    faces = answer["faces"]
    return sorted(f["matches"][0]["person"]["name"] if f["decision"] == "match" else "unknown" for f in faces)


def _status(url: str) -> str:
    try:
        return str(httpx.get(f"{url}/health/ready", timeout=10).json()["status"])
    except httpx.HTTPError:
        return "away"


def _search(url: str, key: str, photo: Path) -> int:
    with photo.open("rb") as file:
        headers = {"Authorization": f"Bearer {key}"}
        try:
            return httpx.post(f"{url}/v1/search", files={"photo": file}, headers=headers, timeout=30).status_code
        except httpx.HTTPError:
            return 0


def _colega(url: str, key: str, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "COLEGA_URL": url, "COLEGA_API_KEY": key}
    command = [sys.executable, "-m", "services.cli.main", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
