"""Rebuilds as users ask for them: by the command line and over HTTP, against the running service, on the photos of examples/."""

import json
import os
import pty
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.service import Document
from tests import nets
from tests.pausing import pause
from tests.running import Running

pytestmark = pytest.mark.slow

CASIA = "casia-webface"


@pytest.fixture(autouse=True)
def the_defaults(service: Running) -> Iterator[None]:
    """What a test has added or activated is the default of no other test, here or in the files after this one."""
    models = service.client().models
    yield
    models.change(CASIA, "activate", {})
    for model in models.list():
        if (model["kind"], model["state"]) == ("detector", "active"):
            models.change(model["id"], "retire", {})


def new_net(service: Running, folder: Path) -> str:
    """A small embedder with random weights, of 128 numbers, without thresholds: a name that nobody used."""
    name, described = f"net-{secrets.token_hex(4)}", folder / "net.yaml"
    described.write_text(nets.described(), "utf-8")
    (folder / "net.onnx").write_bytes(nets.embedder(seed=secrets.randbits(31)).SerializeToString())
    service.answer("models", "add", str(folder / "net.onnx"), "--name", name, "--describe", str(described))
    return name


@pytest.fixture(scope="module")
def net(service: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One of them, for collections of all tests."""
    return new_net(service, tmp_path_factory.mktemp("net"))


@pytest.fixture
def under_net(service: Running, gallery: str, net: str, examples: Path) -> str:
    """A collection with the people of ``examples/``, embedded by :func:`net`."""
    service.client(gallery).models.change(net, "activate", {})
    service.client(gallery).imports.create(examples / "people")
    return gallery


def model_of(service: Running, gallery: str, examples: Path) -> str:
    """Digest of the model that a search is answered from."""
    answer = service.client(gallery).search(examples / "queries" / "group.jpg", threshold=0.9)
    assert len(answer["faces"]) == 3
    return str(answer["model"])


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def digest(service: Running, name: str) -> str:
    return str(service.client().models.show(name)["digest"])


class AtTerminal:
    """A command at a terminal of its own."""

    def __init__(self, service: Running, *words: str) -> None:
        self._terminal, theirs = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "HOME": str(service.data), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", *words],
            env=environment | {"COLEGA_DATA": str(service.data), "COLUMNS": "200"},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self.seen = ""

    def until(self, text: str) -> None:
        """Read what it shows until *text* is there."""
        while text not in self.seen:
            self.seen += os.read(self._terminal, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        """Type *text* and Enter."""
        os.write(self._terminal, f"{text}\n".encode())

    def end(self) -> tuple[int, str]:
        """Exit status and what it printed."""
        printed, _ = self.process.communicate(timeout=120)
        try:
            while part := os.read(self._terminal, 4096):
                self.seen += part.decode(errors="replace")
        except OSError:
            pass  # It has hung up.
        os.close(self._terminal)
        return self.process.returncode, printed


def test_a_collection_comes_to_a_better_model_by_one_command(
    service: Running, under_net: str, net: str, examples: Path
) -> None:
    before = service.client(under_net).search(examples / "queries" / "group.jpg", threshold=0.9)["model"]

    done = service.colega("rebuild", "--model", CASIA, "--yes", "--json", collection=under_net)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["source"], told["before"]["model"]) == ("switched", "chips", net)
    assert (told["plan"]["faces"], told["progress"]["faces"], told["findings"]) == (5, 5, {})
    assert (before, model_of(service, under_net, examples)) == (digest(service, net), digest(service, CASIA))
    named = service.names(examples / "queries" / "group.jpg", under_net)
    assert sorted(named) == ["Barack Obama", "Eileen Collins", "Joe Biden"]


def test_a_model_that_searches_could_not_decide_by_is_stopped_and_switched_to_only_nevertheless(
    service: Running, enrolled: str, examples: Path, tmp_path: Path
) -> None:
    """And back at once, with what was imported meanwhile; and what is kept is freed."""
    net = new_net(service, tmp_path)
    stopped = service.colega("rebuild", "--model", net, collection=enrolled)
    [listed] = service.answer("rebuild", "status", collection=enrolled)
    rebuild = listed["id"]
    page = tmp_path / "report.html"
    fetched = service.colega("rebuild", "report", rebuild, "--output", str(page), collection=enrolled)
    refused = service.colega("rebuild", "switch", rebuild, collection=enrolled)

    assert stopped.returncode == 1
    assert "plan: 5 faces of 5 photos, from their chips" in stopped.stdout
    assert "could not decide" in " ".join(stopped.stderr.split())
    assert f"colega rebuild switch {rebuild} --collection {enrolled} --despite-policy" in " ".join(
        stopped.stdout.split()
    )
    assert (fetched.returncode, "<html" in page.read_text("utf-8")) == (0, True)
    assert (refused.returncode, "despite_policy" in refused.stderr) == (2, True)
    assert model_of(service, enrolled, examples) == digest(service, CASIA)

    switched = service.colega("rebuild", "switch", rebuild, "--despite-policy", collection=enrolled)
    assert switched.returncode == 0, switched.stderr
    assert f"active: {net} with mtcnn" in switched.stdout
    assert model_of(service, enrolled, examples) == digest(service, net)
    added = service.client(enrolled).people.add("Somebody New", [examples / "queries" / "one.jpg"])
    assert service.ended(added["job"], enrolled)["done"] == 1

    back = service.colega("rebuild", "rollback", rebuild, collection=enrolled)
    assert (back.returncode, f"active: {CASIA}" in back.stdout) == (0, True)
    assert model_of(service, enrolled, examples) == digest(service, CASIA)
    assert service.names(examples / "queries" / "one.jpg", enrolled) == ["Somebody New"]

    pruned = service.colega("models", "prune", net)
    assert (pruned.returncode, f"6 embeddings of {enrolled} are being removed" in pruned.stdout) == (0, True), pruned
    service.wait_until(lambda: service.client().models.show(net)["uses"] == [])
    assert service.client(enrolled).rebuilds.show(rebuild)["state"] == "pruned"
    assert service.names(examples / "queries" / "one.jpg", enrolled) == ["Somebody New"]


def test_what_is_kept_is_activated_without_embedding_anything(service: Running, under_net: str, examples: Path) -> None:
    first = service.answer("rebuild", "--model", CASIA, "--yes", collection=under_net)
    service.answer("rebuild", "rollback", first["id"], collection=under_net)

    [activated] = service.answer("models", "activate", CASIA, collection=under_net)

    assert (activated["name"], activated["state"]) == (CASIA, "active")
    told = activated["rebuild"]
    assert (told["state"], told["source"], told["progress"]["total"]) == ("switched", "none", 0)
    assert model_of(service, under_net, examples) == digest(service, CASIA)


def test_events_tell_a_rebuild_to_its_end_and_go_on_after_the_last(service: Running, under_net: str) -> None:
    with service.http(params={"collection": under_net}) as http:
        begun = http.post("/v1/rebuilds", json={"model": CASIA, "switch": "manual"})
        path = f"/v1/rebuilds/{begun.json()['rebuild']}"
        events = [block.split("\n") for block in http.get(f"{path}/events").text.split("\n\n") if "id: " in block]
        ended = json.loads(events[-1][2].removeprefix("data: "))
        last = events[-1][0].removeprefix("id: ")
        http.post(f"{path}/switch")
        again = http.get(f"{path}/events", headers={"Last-Event-ID": last}).text

    assert (begun.status_code, begun.headers["Location"].startswith(path)) == (202, True)
    assert events[-1][1] == "event: end"
    assert (ended["state"], ended["settled"]) == ("ready", True)
    assert "event: state\n" in again
    assert json.loads(again.rsplit("data: ", 1)[1])["state"] == "switched"


def test_at_a_terminal_it_asks_before_it_switches(service: Running, under_net: str) -> None:
    words = ("rebuild", "--model", CASIA, "--collection", under_net)
    no, yes = AtTerminal(service, *words), None
    no.until("Switch to")
    no.type("n")
    status, printed = no.end()
    [waiting] = service.answer("rebuild", "status", collection=under_net)
    service.answer("rebuild", "cancel", waiting["id"], collection=under_net)

    yes = AtTerminal(service, *words)
    yes.until("Switch to")
    yes.type("y")
    done, said = yes.end()

    assert (status, waiting["state"]) == (0, "ready")
    assert f"colega rebuild switch {waiting['id']}" in " ".join(printed.split())
    assert (done, f"active: {CASIA} with mtcnn" in said) == (0, True)


def test_ctrl_c_leaves_it_going_on_and_says_so(service: Running, under_net: str) -> None:
    workers = set(service.processes("enrol,bulk,rebuild"))
    [takes_messages] = [worker for worker in workers if parent_of(worker) not in workers]
    pause(takes_messages)
    try:
        command = AtTerminal(service, "rebuild", "--model", CASIA, "--collection", under_net)
        command.until("planning")
        command.process.send_signal(signal.SIGINT)
        status, _ = command.end()
    finally:
        os.kill(takes_messages, signal.SIGCONT)
    client = service.client(under_net)
    [begun] = client.rebuilds.list()

    assert (status, f"{begun['id']} goes on" in " ".join(command.seen.split())) == (130, True)
    service.wait_until(lambda: client.rebuilds.show(begun["id"])["state"] == "ready")


def test_a_command_that_cannot_be_done_is_refused_with_its_sentence(service: Running, gallery: str) -> None:
    def said(*words: str) -> tuple[int, str]:
        done = service.colega("rebuild", *words, collection=gallery)
        return done.returncode, " ".join(done.stderr.split())

    nothing, unknown, same, gone = said(), said("--model", "nobodys"), said("--model", CASIA), said("status", "reb_0")

    assert (nothing[0], "Name the model" in nothing[1]) == (2, True)
    assert (unknown[0], "no model nobodys" in unknown[1]) == (2, True)
    assert (same[0], "nothing to rebuild" in same[1]) == (2, True)
    assert (gone[0], "no rebuild reb_0" in gone[1]) == (2, True)


def test_status_tells_of_generations_and_of_the_rebuild(service: Running, under_net: str, net: str) -> None:
    client = service.client(under_net)
    begun = client.rebuilds.create(CASIA, switch="manual")
    service.wait_until(lambda: client.rebuilds.show(begun["id"])["state"] == "ready")

    said = " ".join(service.colega("status").stdout.split())
    held: Document = client.models.show(net)

    assert f"{under_net}: {CASIA} with mtcnn is kept ready" in said
    assert f"{under_net}: {begun['id']} to {CASIA} with mtcnn: ready" in said
    assert (under_net, 5, True) in {
        (one["collection"], one["embeddings"], one["active"]) for one in held["generations"]
    }


def test_a_sample_is_verified_without_rebuilding_anything(service: Running, enrolled: str) -> None:
    done = service.colega("rebuild", "--verify", "--sample", "3", collection=enrolled)

    assert done.returncode == 0, done.stdout + done.stderr
    assert service.answer("rebuild", "status", collection=enrolled) == []


def test_another_detector_keeps_names_and_ids(
    service: Running, enrolled: str, examples: Path, shared: Path, tmp_path: Path
) -> None:
    name = f"yunet-{secrets.token_hex(4)}"
    yunet = nets.as_another(shared / "models" / "yunet_2026may.onnx", tmp_path, name)
    [detector] = service.answer("models", "add", str(yunet), "--name", name, "--kind", "detector", "--licence", "MIT")
    client = service.client(enrolled)
    before = {person["name"]: (person["id"], person["faces"], person["face_id"]) for person in client.people.list()}

    done = service.colega("rebuild", "--detector", detector["name"], "--yes", "--json", collection=enrolled)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["source"], told["detector"]) == ("switched", "raw", detector["name"])
    after = {person["name"]: (person["id"], person["faces"], person["face_id"]) for person in client.people.list()}
    assert after == before
    assert service.names(examples / "queries" / "one.jpg", enrolled) != ["unknown"]
    assert service.answer("rebuild", "rollback", told["id"], collection=enrolled)["state"] == "rolled_back"
    assert {person["name"]: person["id"] for person in client.people.list()} == {n: ids[0] for n, ids in before.items()}
