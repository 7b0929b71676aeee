"""The Python client: every example of docs/python.md runs and prints what the page says; embeddings stay where they are."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.cli import deepface
from services.cli.service import ServiceError
from services.errors import InvalidRequest, Unavailable
from tests.conftest import ROOT
from tests.running import Running

pytestmark = pytest.mark.slow

_PAGE = ROOT / "docs" / "python.md"
_REPRESENT = """
import io, json, sys
from services.gateway import app
answer = app.of_process().test_client().post(
    "/v1/represent", query_string={"collection": sys.argv[1]}, headers={"Authorization": "Bearer " + sys.argv[2]},
    data={"photo": (io.BytesIO(open(sys.argv[3], "rb").read()), "one.jpg")},
)
facade = app.of_process().test_client().post(
    "/api/v1/recognition/recognize?face_plugins=calculator", headers={"x-api-key": sys.argv[2]},
    data={"file": (io.BytesIO(open(sys.argv[3], "rb").read()), "one.jpg")},
)
print(json.dumps([answer.status_code, answer.json, facade.json]))
"""


def _examples() -> tuple[str, list[str]]:
    """The page's code, and what it prints by its comments."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE))
    printed = []
    for line in code.splitlines():
        if line.startswith("# "):
            printed.append(line.removeprefix("# "))
        elif "print(" in line and "  # " in line:
            printed.append(line.rpartition("  # ")[2].strip())
    return code, printed


def test_the_examples_of_the_page_run_and_print_what_it_says(
    service: Running, gallery: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = service.instance()
    code, printed = _examples()
    code = code.replace("http://127.0.0.1:8000", str(instance["url"])).replace(
        'collection="default")', f'collection="{gallery}")'
    )
    code = code.replace('Path("models/casia-webface")', repr(tmp_path / "model")).replace("PosixPath", "Path")
    monkeypatch.setenv("COLEGA_API_KEY", str(instance["api_key"]))
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(compile(code, str(_PAGE), "exec"), names)
    with names["client"]:  # Closed, as the page says.
        pass

    assert len(printed) >= 15
    assert capsys.readouterr().out.splitlines() == printed


def test_find_lists_those_within_the_threshold_as_deepface_does(
    service: Running, enrolled: str, examples: Path
) -> None:
    client = service.client(enrolled)
    group = examples / "queries" / "group.jpg"
    named = deepface.find(group, client)
    everybody = deepface.find(str(group), client, k=3, refuse_unknown=False)

    assert {rows[0]["identity"] for rows in named} == {"Barack Obama", "Joe Biden", "Eileen Collins"}
    assert all(
        set(row) == {"identity", "person_id", "distance", "threshold", *_SOURCE} for rows in named for row in rows
    )
    assert all(row["distance"] <= row["threshold"] for rows in named for row in rows)
    assert any(row["distance"] > row["threshold"] for rows in everybody for row in rows)


_SOURCE = ("source_x", "source_y", "source_w", "source_h")


def test_embeddings_are_given_out_only_where_that_is_set(service: Running, enrolled: str, examples: Path) -> None:
    one = examples / "queries" / "one.jpg"
    client = service.client(enrolled)
    with pytest.raises(ServiceError, match="COLEGA_EMBEDDINGS_OVER_API"):
        client.represent(one)

    key = client.keys.create("represent", ["manage", "search"], collections=[enrolled])["secret"]
    [status, told, facade] = _with_embeddings(service, enrolled, key, one)
    [face] = told["faces"]
    assert status == 200
    assert sum(number * number for number in face["embedding"]) == pytest.approx(1, abs=1e-3)
    assert facade["result"][0]["embedding"] == face["embedding"]


def _with_embeddings(service: Running, collection: str, key: str, photo: Path) -> list[Any]:
    """What another gateway of the same service answers, with the setting."""
    gateway = service.processes("gunicorn")[0]
    entries = Path(f"/proc/{gateway}/environ").read_bytes().decode().split("\0")
    environment = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    done = subprocess.run(
        [sys.executable, "-c", _REPRESENT, collection, key, str(photo)],
        env=environment | {"COLEGA_EMBEDDINGS_OVER_API": "true", "PATH": os.environ["PATH"]},
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    answered: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answered


def test_the_client_says_what_was_asked_wrongly_before_it_asks(service: Running, gallery: str, examples: Path) -> None:
    client = service.client(gallery)
    one = examples / "queries" / "one.jpg"

    with pytest.raises(InvalidRequest, match="person_id"):
        client.verify(one)
    job = client.imports.open("never closed")
    with pytest.raises(Unavailable, match="has not ended"):
        client.jobs.wait(job, within_s=0.2)


def test_a_key_that_clients_have_already_is_taken(service: Running, gallery: str, examples: Path) -> None:
    secret = f"7c4b2f0e-8a55-4f0c-9d8e-{os.urandom(6).hex()}"
    made = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "keys", "create", "door", "--scope", "search", "--collection", gallery,
         "--secret-file", "-"],
        env={"PATH": os.environ["PATH"], "COLEGA_DATA": str(service.data)}, input=secret + "\n", capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    again = service.colega("keys", "create", "door", "--scope", "search", "--secret-file", str(examples / "README.md"))
    with service.http(headers={"Authorization": f"Bearer {secret}"}) as http:
        files = {"photo": (examples / "queries" / "one.jpg").read_bytes()}
        mine = http.post("/v1/detect", params={"collection": gallery}, files=files)
        other = http.post("/v1/detect", files=files)

    assert made.stdout.strip() == secret
    assert again.returncode == 2
    assert (mine.status_code, other.status_code) == (200, 404)
    with pytest.raises(ServiceError, match="secret already"):
        service.client().keys.create("twice", ["search"], secret=secret)
