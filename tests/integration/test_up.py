"""One command: the whole service on one machine, found again as it was left."""

import signal
from pathlib import Path

import pytest

from services.local import ports, seaweedfs
from tests.service import Service
from tests.waiting import eventually


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """One that is not started yet."""
    return Service(tmp_path / "data", is_new=True)


def test_it_imports_names_ends_and_finds_everything_again(service: Service, examples: Path) -> None:
    """The way of a new user: start, search, Ctrl-C, start again."""
    with service.start("--photos", str(examples / "people")):
        assert any(service.url in line for line in service.said)
        assert any(service.api_key in line for line in service.said)
        with service.client() as client:
            before = client.get("/v1/people").json()["items"]
        assert sorted(person["name"] for person in before) == [
            "Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden",
        ]  # fmt: skip
        found = service.colega("search", str(examples / "queries" / "one.jpg"))
        assert "Barack Obama" in found.stdout, found.stderr
        photos = {stored.key: stored.size_bytes for stored in seaweedfs.store(service.instance).list("photos/")}
        used = dict(service.instance.ports)
        assert service.end() == 0

        assert service.processes() == []
        assert all(ports.is_free(port) for port in used.values())

        service.start("--photos", str(examples / "people"))
        with service.client() as client:
            assert client.get("/v1/people").json()["items"] == before
        after = {stored.key: stored.size_bytes for stored in seaweedfs.store(service.instance).list("photos/")}
        assert after == photos
        assert "Barack Obama" in service.colega("search", str(examples / "queries" / "one.jpg")).stdout


def test_a_second_one_on_the_folder_is_refused_and_one_beside_it_is_not(service: Service, tmp_path: Path) -> None:
    """The refusal names the process that runs; the other folder gets another port."""
    with service.start(), Service(tmp_path / "other") as other:
        with service.launch() as second:
            said, _ = second.communicate()
        assert second.returncode != 0
        assert str(service.supervisor) in said
        assert "Traceback" not in said

        other.start("--photos", "")  # As `make up PHOTOS=` means it: none, not those of the folder one stands in.

        assert other.url != service.url
        for one in (service, other):
            with one.client() as client:
                assert client.get("/health/ready").json()["status"] == "ok"
                assert client.get("/v1/people").json()["items"] == []
        with other.client() as client:
            stranger = client.get(f"{service.url}/v1/people")
        assert stranger.status_code == 401


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_ended_before_it_is_ready(service: Service, number: int) -> None:
    """Ctrl-C during the start leaves nothing either."""
    with service.launch() as process:
        eventually(lambda: any("weed" in process.command for process in service.processes()))
        process.send_signal(number)
        said, _ = process.communicate()

    assert process.returncode == 0, said
    assert service.processes() == []
