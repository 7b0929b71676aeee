"""Locust's side of the load: who asks what, at a rate whatever the answers take. Started by ``benchmarks.load``.

Every request is written down, one JSON line each, so that percentiles are of all of them and not of Locust's buckets.
"""

import itertools
import json
import os
import random
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

RATE = float(os.environ["LOAD_RATE"])
"""Requests a second, of all users together."""
USERS = int(os.environ["LOAD_USERS"])
KEY = os.environ["LOAD_KEY"]
QUERIES = [path.read_bytes() for path in sorted(Path(os.environ["LOAD_QUERIES"]).iterdir())]
NEWCOMERS = [path.read_bytes() for path in sorted(Path(os.environ["LOAD_NEWCOMERS"]).iterdir())]
OUT = Path(os.environ["LOAD_OUT"]).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives.

_WITHIN_S = 30.0
_BOUNDARY = "a-boundary-that-no-photo-has"
_NUMBERS = itertools.count()
_CHANCE = random.Random(12)


def unlike_any(jpeg: bytes) -> bytes:
    """The same picture in bytes that were never sent: a comment after the start of the image."""
    comment = secrets.token_bytes(16)
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def form(photo: bytes, **fields: str) -> tuple[bytes, Mapping[str, str]]:
    """A multipart body with its header; encoding it costs a client as little as can be."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="photo"; filename="photo.jpg"\r\n\r\n'.encode()
    body = b"".join([*parts, head, photo, f"\r\n--{_BOUNDARY}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


class Colleague(FastHttpUser):
    """Searches most of the time, enrols sometimes, looks around now and then."""

    connection_timeout = network_timeout = _WITHIN_S

    def on_start(self) -> None:
        """Called once a user."""
        self.client.headers = {"Authorization": f"Bearer {KEY}"}  # type: ignore[attr-defined]
        self._turn = time.monotonic()
        time.sleep(self.wait_time())  # Locust has made this gevent's.

    def wait_time(self) -> float:
        """Seconds until the next turn. Turns come as people do, by chance (Poisson), and do not wait for answers."""
        self._turn += _CHANCE.expovariate(RATE / USERS)
        return max(self._turn - time.monotonic(), 0.0)

    @task(70)
    def search(self) -> None:
        """Who is this?"""
        body, headers = form(_CHANCE.choice(QUERIES))
        self._ask("search", "POST", "/v1/search", data=body, headers=headers)

    @task(20)
    def enrol(self) -> None:
        """A newcomer, with one photo."""
        number = next(_NUMBERS)
        body, headers = form(unlike_any(NEWCOMERS[number % len(NEWCOMERS)]), name=f"Newcomer {secrets.token_hex(6)}")
        self._ask("enrol", "POST", "/v1/people", data=body, headers=headers)

    @task(10)
    def browse(self) -> None:
        """A page of people, and one of them."""
        found = self._ask("browse", "GET", f"/v1/people?limit=50&sort={_CHANCE.choice(['name', 'newest'])}")
        if found and found["items"]:
            self._ask("browse", "GET", f"/v1/people/{_CHANCE.choice(found['items'])['id']}", name="person")

    def _ask(self, kind: str, method: str, path: str, name: str | None = None, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - Locust's
        headers = self.client.headers | request.pop("headers", {})  # type: ignore[attr-defined]
        with self.client.request(
            method, path, name=name or kind, headers=headers, catch_response=True, **request
        ) as answer:
            answer.success()  # What is no error is decided afterwards.
            found: dict[str, Any] = answer.json() if answer.status_code and answer.status_code < 300 else {}
            if kind == "enrol" and found:
                OUT.write(json.dumps({"job": found["job"]}) + "\n")
            if answer.status_code in {429, 503} and not answer.headers.get("Retry-After"):
                OUT.write(json.dumps({"without": "Retry-After", "status": answer.status_code}) + "\n")
            return found


@events.request.add_listener  # type: ignore[untyped-decorator]
def _written(**said: Any) -> None:  # noqa: ANN401 - Locust's
    status = getattr(said.get("response"), "status_code", 0) or 0
    line = {"kind": said["name"], "at": said["start_time"], "ms": said["response_time"], "status": status}
    OUT.write(json.dumps(line) + "\n")


@events.quit.add_listener  # type: ignore[untyped-decorator]
def _closed(**_: Any) -> None:  # noqa: ANN401 - Locust's
    OUT.close()
