"""The whole service as a user starts it: ``colega up`` in a folder of its own, asked over HTTP and by the command line."""

import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from services.cli.client import Client
from services.cli.service import Document
from tests import default_model

READY_WITHIN_S = 120.0

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak plain HTTP: reading the world's authorities for each takes more time than many a request."""


class Running:
    """One service. Its folder outlives it, so that it can be started again."""

    workers = 2
    """Processes that compute, for searches and for photos each."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []

    def start(self) -> None:
        """Start it and wait until all parts work."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data), "LC_ALL": "C.UTF-8", **self._settings}
        self.data.mkdir(parents=True, exist_ok=True)
        default_model.put(self.data / "models")
        with (self.data / "up.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), env=environment, stdout=log, stderr=log)
        try:
            self.wait_until(lambda: self.health().get("status") == "ok", READY_WITHIN_S)
        except BaseException:
            self.stop()  # Else it would go on beside all later tests.
            raise

    def command(self) -> list[str]:
        """What starts it."""
        folder, workers = str(self.data), str(self.workers)
        return [sys.executable, "-m", "services.cli.main", "up", "--data", folder, "--workers", workers]

    def stop(self) -> None:
        """Ctrl-C."""
        while self._clients:
            self._clients.pop().__exit__(None, None, None)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    @property
    def supervisor(self) -> "subprocess.Popen[bytes]":
        """The process that was started."""
        assert self._process is not None
        return self._process

    def wait_until(self, holds: Any, within_s: float = 60.0) -> None:
        """Wait until *holds* says so."""
        give_up_at = time.monotonic() + within_s
        while not holds():
            assert self._process is None or self._process.poll() is None, (self.data / "up.log").read_text()
            assert time.monotonic() < give_up_at, f"not within {within_s} s"
            time.sleep(0.05)

    def health(self) -> Document:
        """What the gateway says of all parts; empty while it does not answer."""
        try:
            found: Document = httpx.get(f"{self.instance()['url']}/health/ready", timeout=5, verify=_NO_TLS).json()
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            return {}
        return found

    def instance(self) -> Document:
        """URL and key among others."""
        found: Document = json.loads((self.data / "instance.json").read_text("utf-8"))
        return found

    def collection(self) -> str:
        """The name of a new, empty collection."""
        name = f"c{secrets.token_hex(6)}"
        self.client().send("POST", "/v1/collections", body={"name": name})
        return name

    def client(self, collection: str = "default") -> Client:
        """A client with the key of an administrator; closed with the service."""
        instance = self.instance()
        client = Client(str(instance["url"]), str(instance["api_key"]), collection=collection, trust=_NO_TLS)
        self._clients.append(client)
        return client

    def http(self, **more: Any) -> httpx.Client:
        """Plain HTTP with the key."""
        instance = self.instance()
        headers = {"Authorization": f"Bearer {instance['api_key']}"} | more.pop("headers", {})
        return httpx.Client(
            base_url=str(instance["url"]), headers=headers, **{"timeout": 60, "verify": _NO_TLS, **more}
        )

    def colega(self, *words: str, collection: str | None = None) -> "subprocess.CompletedProcess[str]":
        """A command, as a user types it."""
        chosen = [] if collection is None else ["--collection", collection]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data),
            "LC_ALL": "C.UTF-8",
            "COLEGA_DATA": str(self.data),
        }
        command = [sys.executable, "-m", "services.cli.main", *words, *chosen]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)

    def answer(self, *words: str, collection: str | None = None) -> Any:
        """What a command says with ``--json``."""
        done = self.colega(*words, "--json", collection=collection)
        assert done.returncode in {0, 1}, done.stderr
        return json.loads(done.stdout)

    def enrol(self, photos: Mapping[str, Sequence[bytes]], collection: str) -> Document:
        """Import photos by person and wait; the job."""
        client = self.client(collection)
        job = client.imports.open("test")
        for person, pictures in photos.items():
            client.imports.upload(
                job,
                [(f"{person}-{n}.jpg", data) for n, data in enumerate(pictures)],
                [{"person": person}] * len(pictures),
            )
        client.imports.close(job)
        return self.ended(job, collection)

    def ended(self, job: str, collection: str, within_s: float = 120.0) -> Document:
        """The job, when all of it has come to its end."""
        client = self.client(collection)
        self.wait_until(lambda: client.jobs.show(job)["state"] in {"done", "failed", "cancelled"}, within_s)
        return client.jobs.show(job)

    def names(self, photo: Path, collection: str, after: int | None = None) -> list[str]:
        """Who is named in *photo*, face by face from left to right."""
        answer = self.client(collection).search(photo, after=after)
        faces = sorted(answer["faces"], key=lambda face: face["box"]["x"])
        return [f["matches"][0]["person"]["name"] if f["decision"] == "match" else "unknown" for f in faces]

    def processes(self, part: str) -> list[int]:
        """The processes of this service whose command line has *part* in it."""
        mark = f"COLEGA_DATA={self.data}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ") if entry.name.isdigit() else b""
                ours = mark in (entry / "environ").read_bytes() if command else False
                if part.encode() in command and (ours or str(self.data).encode() in command):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found
