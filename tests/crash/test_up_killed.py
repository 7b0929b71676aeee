"""``kill -9`` of ``colega up``: nothing goes on running, nothing stands in the way, nothing is lost."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.local import seaweedfs
from tests.service import Service
from tests.waiting import eventually


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[Service]:
    """One that knows the example people, for it and all parts of it to be killed in turn."""
    with Service(tmp_path_factory.mktemp("up") / "data") as running:
        yield running.start("--photos", str(examples / "people"))
        assert running.end() == 0
        assert running.processes() == []


def _photos(service: Service) -> set[str]:
    return {stored.key for stored in seaweedfs.store(service.instance).list("photos/")}


def _names(service: Service, photo: Path) -> bool:
    """Whether a search for *photo* answers, and names whom it shows."""
    return "Barack Obama" in service.colega("search", str(photo)).stdout


def test_a_killed_service_leaves_nothing_running_and_starts_again_whole(service: Service, examples: Path) -> None:
    """What was taken in is there afterwards, under the same key, and the photos taken last were looked at."""
    photos, key = _photos(service), service.api_key
    looked_at = service.data / "logs" / "read-back.log"
    looked_at.unlink(missing_ok=True)

    service.kill()

    eventually(lambda: service.processes() == [])
    service.start()
    assert (service.api_key, _photos(service)) == (key, photos)
    assert not [line for line in service.said if "lost" in line]
    assert looked_at.exists()
    assert _names(service, examples / "queries" / "one.jpg")


def test_a_killed_service_is_started_again_at_once(service: Service) -> None:
    """Without waiting until what it left is gone: the start does that."""
    service.kill()

    service.start()

    with service.client() as client:
        assert client.get("/v1/people").status_code == 200


def test_a_photo_that_did_not_survive_an_unclean_stop_is_said_to_be_lost(service: Service) -> None:
    """Before the service says that it is ready."""
    lost = min(_photos(service))
    kept = seaweedfs.store(service.instance).get(lost)
    seaweedfs.store(service.instance).delete(lost)
    service.kill()

    service.start()

    seaweedfs.store(service.instance).put(lost, kept)  # For the other tests, which come in any order.
    assert [line for line in service.said if line.startswith("1 photos taken shortly before")]
    assert lost in (service.data / "logs" / "read-back.log").read_text()


@pytest.mark.parametrize(
    "part", ["weed", "valkey-server", "workers.searcher", "interactive@", "enrol,bulk,rebuild", "gunicorn"]
)
def test_every_part_that_is_killed_comes_back(service: Service, examples: Path, part: str) -> None:
    """SIGKILL to all of its processes; a search is answered again."""
    victims = [process.pid for process in service.processes() if part in process.command]
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)

    eventually(lambda: any(part in p.command for p in service.processes() if p.pid not in victims))
    eventually(lambda: _names(service, examples / "queries" / "one.jpg"))
