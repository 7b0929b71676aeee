"""Webhooks over HTTP and by the command line: made by administrators, tried, told, looked at, ended."""

import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest

from services.local import seaweedfs
from services.local.instance import Instance
from tests.receiver import Receiver, is_signed
from tests.running import Running

pytestmark = pytest.mark.slow

EVERYTHING = ["job.ended", "rebuild.state", "live.match"]


def test_an_import_is_told_of_when_it_has_ended(service: Running, gallery: str, examples: Path) -> None:
    client = service.client()
    with Receiver() as receiver:
        made = client.webhooks.create(receiver.url, EVERYTHING, gallery)
        service.client(gallery).imports.create(examples / "people")
        service.wait_until(lambda: bool(receiver.all))

        came = receiver.all[0]
        assert is_signed(came, made["secret"])
        assert (came.body["kind"], came.body["collection"]) == ("job.ended", gallery)
        assert (came.data["kind"], came.data["state"], came.data["done"]) == ("import", "done", 5)
        told = next(iter(client.webhooks.deliveries(made["id"])))
        service.wait_until(lambda: client.webhooks.show(made["id"])["waiting"] == 0)
        assert (told["event"], told["subject"]) == (came.body["id"], came.data["job"])
    client.webhooks.delete(made["id"])


def test_a_live_match_is_told_of(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    person = next(iter(client.people.list()))
    with Receiver() as receiver:
        made = client.webhooks.create(receiver.url, ["live.match"], enrolled)
        told = client.live.match("front door", person["id"], 0.81, threshold=0.6, seen_at="2026-01-02T03:04:05+01:00")
        assert told["webhooks"] == 1
        service.wait_until(lambda: bool(receiver.all))

        assert receiver.all[0].body["id"] == told["event"]
        assert receiver.all[0].data == {
            "camera": "front door",
            "person": {name: person[name] for name in ("id", "name", "external_id")},
            "similarity": 0.81,
            "threshold": 0.6,
            "seen_at": "2026-01-02T02:04:05.000+00:00",
            "track": None,
        }
    client.webhooks.delete(made["id"])


def test_a_match_of_nobody_or_of_nonsense_is_refused(service: Running, gallery: str) -> None:
    fine: dict[str, object] = {"camera": "door", "person_id": "per_0", "similarity": 0.5}
    wrong: list[dict[str, object]] = [
        {"similarity": 2},
        {"similarity": "nan"},
        {"camera": " "},
        {"camera": "a\nb"},
        {"seen_at": "2026-01-01T00:00"},
    ]
    with service.http() as http:
        path = f"/v1/live/matches?collection={gallery}"
        assert http.post(path, json=fine).status_code == 404
        assert {http.post(path, json=fine | each).status_code for each in wrong} == {422}


def test_the_secret_is_shown_once(service: Running) -> None:
    client = service.client()
    with service.http(headers={"Idempotency-Key": secrets.token_hex(8)}) as http:
        body = {"url": "http://127.0.0.1:9/", "events": ["job.ended"]}
        first, again = (http.post("/v1/webhooks", json=body) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["secret"].startswith("whsec_")
    shown = [again.text, str(client.webhooks.show(first.json()["id"])), str(client.webhooks.list())]
    assert not any(first.json()["secret"] in text for text in shown)
    client.webhooks.delete(first.json()["id"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.com/"},
        {"url": "http://169.254.169.254/"},
        {"url": "http://user:secret@example.com/"},
        {"events": []},
        {"events": ["person.added"]},
        {"colour": "blue"},
    ],
    ids=str,
)
def test_what_cannot_be_a_webhook_is_refused(service: Running, wrong: dict[str, object]) -> None:
    with service.http() as http:
        answer = http.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/", "events": ["job.ended"], **wrong})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


def test_webhooks_are_for_administrators_of_what_they_are_about(service: Running, gallery: str) -> None:
    client = service.client()
    body = {"url": "http://127.0.0.1:9/", "events": ["job.ended"]}
    of_all = client.webhooks.create(body["url"], body["events"])  # type: ignore[arg-type]
    reader = client.keys.create("reader", ["search", "enrol", "read", "manage", "train"])["secret"]
    limited = client.keys.create("limited", ["admin"], collections=[gallery])["secret"]
    with service.http(headers={"Authorization": f"Bearer {reader}"}) as http:
        assert http.get("/v1/webhooks").status_code == 403
        assert http.post("/v1/webhooks", json=body).status_code == 403
    about = {"collection": gallery}
    with service.http(headers={"Authorization": f"Bearer {limited}"}, params=about) as http:
        assert http.post("/v1/webhooks", json=body).status_code == 403
        assert http.post("/v1/webhooks", json=body | {"collection": "default"}).status_code == 404
        mine = http.post("/v1/webhooks", json=body | about).json()
        assert [one["id"] for one in http.get("/v1/webhooks").json()["items"]] == [mine["id"]]
        for path in ("", "/deliveries"):
            assert http.get(f"/v1/webhooks/{of_all['id']}{path}").status_code == 404
        assert http.delete(f"/v1/webhooks/{of_all['id']}").status_code == 404
        assert http.delete(f"/v1/webhooks/{mine['id']}").status_code == 204
    client.webhooks.delete(of_all["id"])


def test_the_command_line_makes_tries_and_ends_them(service: Running) -> None:
    with Receiver() as receiver:
        made = service.answer("webhooks", "create", receiver.url)
        assert made["events"] == ["job.ended", "rebuild.state"]
        assert service.answer("webhooks", "test", made["id"])["state"] == "delivered"
        assert is_signed(receiver.all[0], made["secret"])
        receiver.answer = lambda _: 500
        failed = service.colega("webhooks", "test", made["id"])
    assert failed.returncode == 1
    assert "It answered 500" in failed.stderr
    kinds = [one["kind"] for one in service.client().webhooks.deliveries(made["id"])]
    assert kinds == ["webhook.test", "webhook.test"]
    assert service.colega("webhooks", "delete", made["id"]).returncode == 0
    assert made["id"] not in str(service.client().webhooks.list())


def test_status_and_metrics_tell_what_waits(service: Running, gallery: str) -> None:
    client = service.client()
    made = client.webhooks.create("http://127.0.0.1:9/", ["live.match"], gallery)
    person = service.client(gallery).send("POST", "/v1/people", body={"name": "Ana"})
    service.client(gallery).live.match("door", (person.get("person") or person)["id"], 0.9)
    service.wait_until(lambda: client.status()["webhooks"]["failing"] >= 1)

    with service.http() as http:
        told = [
            line for line in http.get("/metrics").text.splitlines() if line.startswith("colega_webhook_deliveries{")
        ]
    assert len(told) == 3
    assert float(next(line for line in told if "failing" in line).split()[-1]) >= 1
    client.webhooks.delete(made["id"])


def test_who_is_killed_while_telling_is_followed_by_one_who_goes_on(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    person = next(iter(client.people.list()))["id"]
    worker = next(one["pid"] for one in client.status()["processes"] if one["kind"] == "maintenance")

    def answer(_: dict[str, Any]) -> int:
        if len(receiver.all) == 2:
            os.kill(worker, signal.SIGKILL)
        return 200

    with Receiver(answer) as receiver:
        made = client.webhooks.create(receiver.url, ["live.match"], enrolled)
        for number in range(6):
            client.live.match("door", person, 0.5, track=str(number))
        service.wait_until(lambda: client.webhooks.show(made["id"])["waiting"] == 0, 90)
        came = [each.data["track"] for each in receiver.all]

    assert list(dict.fromkeys(came)) == [str(number) for number in range(6)]
    assert came.count("2") == 2  # It was under way, and nobody knew whether it had arrived.
    client.webhooks.delete(made["id"])


def test_colegas_own_servers_are_told_nothing(service: Running) -> None:
    """The master of its store would do what it is asked by anybody who reaches it."""
    client = service.client()
    port = Instance.read(service.data).ports[seaweedfs.MASTER]
    made = client.webhooks.create(f"http://localhost:{port}/col/delete?collection=colega", ["job.ended"])

    client.webhooks.test(made["id"])
    service.wait_until(lambda: next(iter(client.webhooks.deliveries(made["id"])))["state"] == "given_up")

    assert "own servers" in str(next(iter(client.webhooks.deliveries(made["id"])))["error"])
    client.webhooks.delete(made["id"])
