"""Evaluations and calibrations as users ask for them: over HTTP, by the command line, and on photos in folders."""

import os
import secrets
import signal
from pathlib import Path
from typing import Any

import pytest

from services.cli.service import Document
from tests.running import Running
from tests.torch import required

pytestmark = pytest.mark.slow


def post(service: Running, path: str, body: dict[str, Any], collection: str) -> Document:
    """The job that a request is answered with, when it has ended."""
    with service.http() as http:
        answer = http.post(path, json=body, params={"collection": collection})
        assert answer.status_code == 202, answer.text
    job = answer.json()["job"]
    assert answer.headers["Location"].endswith(job)
    return service.ended(job, collection)


def test_an_evaluation_is_asked_for_watched_and_read(service: Running, enrolled: str) -> None:
    job = post(service, "/v1/evaluations", {"models": ["casia-webface"]}, enrolled)
    with service.http(params={"collection": enrolled}) as http:
        [listed] = http.get("/v1/evaluations").json()["items"]
        shown = http.get(f"/v1/evaluations/{listed['id']}").json()
        page = http.get(f"/v1/evaluations/{listed['id']}/report", headers={"Accept": "text/html,*/*;q=0.8"})
        figures = http.get(f"/v1/evaluations/{listed['id']}/report", headers={"Accept": "application/json"}).json()
        events = http.get(f"/v1/jobs/{job['id']}/events").text

    assert job["state"] == "done", job["error"]
    assert job["result"]["evaluation"] == listed["id"]
    assert (listed["job"], listed["has_report"]) == (job["id"], True)
    assert shown["figures"]["source"]["people"] == figures["source"]["people"] == 4
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "<script" not in page.text
    assert "event: end\n" in events


def test_a_calibration_is_made_and_told(service: Running, enrolled: str) -> None:
    told = service.answer("calibrate", collection=enrolled)

    assert (told["people"], told["faces"]) == (4, 5)
    assert told["lines"]


def test_a_training_ends_with_a_candidate_and_a_recipe_that_is_none_with_a_sentence(
    service: Running, enrolled: str
) -> None:
    required()
    name, recipe = f"tuned-{secrets.token_hex(4)}", {"steps": 2, "views": 1}

    done = post(service, "/v1/trainings", {"method": "triplet", "name": name, "recipe": recipe}, enrolled)
    refused = post(service, "/v1/trainings", {"method": "triplet", "recipe": {"magic": 1}}, enrolled)

    assert done["state"] == "done", done["error"]
    assert service.client().models.show(name)["id"] == done["result"]["model"]
    assert service.client().models.show(name)["state"] == "candidate"
    assert (refused["state"], refused["problem"]) == ("failed", "invalid-request")
    assert "no field 'magic'" in refused["error"]


def test_a_request_that_cannot_be_computed_is_refused_at_once(service: Running, enrolled: str) -> None:
    with service.http(params={"collection": enrolled}) as http:
        answers = [
            http.post("/v1/evaluations", json={"models": ["nobody's"]}),
            http.post("/v1/evaluations", json={"pairs": "/etc/passwd"}),
            http.post("/v1/trainings", json={"method": "magic"}),
            http.post("/v1/trainings", json={"method": "triplet", "network": "scratch"}),
            http.post("/v1/trainings", json={"method": "triplet", "name": "casia-webface"}),
            http.post("/v1/calibrations", json={"collection": "nobody's"}),
            http.get("/v1/evaluations/eva_0/report"),
        ]

    assert [answer.status_code for answer in answers] == [404, 422, 422, 422, 409, 404, 404]


def test_the_same_request_under_one_key_is_computed_once(service: Running, gallery: str) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}
    with service.http(params={"collection": gallery}, headers=key) as http:
        first, second = (http.post("/v1/calibrations", json={}).json()["job"] for _ in range(2))

    assert first == second
    assert service.ended(first, gallery)["problem"] == "invalid-request"  # Nobody is enrolled.


def test_computing_needs_its_own_scope(service: Running, gallery: str) -> None:
    def key(scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {service.client().keys.create(scope, [scope])['secret']}"}

    with service.http(params={"collection": gallery}) as http:
        trainer, clerk = key("train"), key("enrol")
        refused = http.post("/v1/calibrations", json={}, headers=clerk)
        job = http.post("/v1/calibrations", json={}, headers=trainer).json()["job"]
        seen = http.get(f"/v1/jobs/{job}", headers=trainer)
        not_hers = http.post(f"/v1/jobs/{job}/cancel", headers=clerk)
        hers = http.post(f"/v1/jobs/{job}/cancel", headers=trainer)

    assert [a.status_code for a in (refused, seen, not_hers, hers)] == [403, 200, 403, 200]


def test_a_killed_training_worker_loses_no_computation(service: Running, enrolled: str) -> None:
    with service.http(params={"collection": enrolled}) as http:
        job = http.post("/v1/evaluations", json={}).json()["job"]
        service.wait_until(lambda: http.get(f"/v1/jobs/{job}").json()["state"] != "queued")
    for process in service.processes("workers.tasks.training"):
        os.kill(process, signal.SIGKILL)

    assert service.ended(job, enrolled)["state"] == "done"


def test_a_command_waits_for_the_figures_and_fetches_the_report(
    service: Running, enrolled: str, tmp_path: Path
) -> None:
    told = service.answer("evaluate", "--report", str(tmp_path / "report.html"), collection=enrolled)
    shown = service.colega("jobs", told["job"], "--watch", collection=enrolled)

    assert told["failure_to_detect"] == 0
    assert "<html" in (tmp_path / "report.html").read_text("utf-8")
    assert shown.returncode == 0
    assert "evaluation" in shown.stdout


def test_a_collection_is_evaluated_by_a_process_of_ones_own(service: Running, enrolled: str) -> None:
    told = service.answer("evaluate", "--local", collection=enrolled)

    assert told["source"]["kind"] == "collection"
    assert service.client(enrolled).jobs.show(told["job"])["state"] == "done"


def test_photos_in_folders_need_no_service(service: Running, examples: Path, tmp_path: Path) -> None:
    photos = str(examples / "people")
    told = service.answer("evaluate", "--dataset", photos, "--output", str(tmp_path / "out"))
    seen = service.colega("evaluate", "--dataset", photos)

    assert told["files"]["report.html"] == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "figures.json").is_file()
    assert seen.stdout.startswith("4 people, 5 faces\n")
    assert seen.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "--dataset", "/nowhere"], "/nowhere is not there"),
        (["evaluate", "--dataset", "{empty}"], "no folders with photos"),
        (["evaluate", "--dataset", "{empty}", "--collection", "default"], "not both"),
        (
            ["evaluate", "--dataset", "{people}", "--model", "nobody's"],
            "There is no model or folder of a bundle nobody's",
        ),
        (["train", "--method", "triplet", "--recipe", "steps"], "write KEY=VALUE"),
        (["calibrate", "--collection", "nobody's"], "There is no collection nobody's"),
    ],
)
def test_what_cannot_be_computed_is_said_in_a_sentence(
    service: Running, examples: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    done = service.colega(*(word.format(empty=tmp_path, people=examples / "people") for word in words))

    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
