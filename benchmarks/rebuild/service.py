"""A service whose collection is rebuilt: what is asked of it, and its rows as they are."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from benchmarks.running import Service

Document = dict[str, Any]

ENDED = ("ready", "stopped", "switched", "rolled_back", "failed", "cancelled", "pruned")
"""States in which nothing moves by itself."""


class Rows:
    """The catalog of a service, read beside it."""

    def __init__(self, data: Path) -> None:
        self._path = data / "catalog" / "catalog.sqlite"

    def all(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What *query* finds."""
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def count(self, table: str, where: str = "1") -> int:
        """How many rows of *table* there are."""
        found: int = self.all(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]
        return found


class Rebuilding(Service):
    """``colega up`` over a folder, and what one asks of rebuilds."""

    def catalog(self) -> Rows:
        """Its rows."""
        return Rows(self.data)

    def colega(self, *arguments: str) -> Document:
        """A ``colega`` command of this service; what it prints as JSON."""
        colega = Path(sys.executable).parent / "colega"
        command = [str(colega), *arguments, "--json"]
        done = subprocess.run(
            command, env=self.environment(), check=False, capture_output=True, stdin=subprocess.DEVNULL
        )
        if done.returncode not in {0, 1}:
            raise SystemExit(f"colega {' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode()}")
        found: Document = json.loads(done.stdout)
        return found

    def rebuild(self, **what: Any) -> str:  # noqa: ANN401 - the body of POST /v1/rebuilds
        """Ask for a rebuild; its id. ``model``, ``detector``, ``switch``, ``source``."""
        with self.client() as client:
            answer = client.post("/v1/rebuilds", json=what)
            if answer.is_error:
                raise SystemExit(f"The rebuild was refused: {answer.text}")
            return str(answer.json()["rebuild"])

    def show(self, rebuild: str) -> Document:
        """How a rebuild stands; asked again while the gateway is away."""
        for _ in range(600):
            try:
                with self.client() as client:
                    answer = client.get(f"/v1/rebuilds/{rebuild}")
                if answer.status_code == httpx.codes.OK:
                    found: Document = answer.json()
                    return found
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise SystemExit("The gateway does not come back.")

    def wait(self, rebuild: str, states: Collection[str] = ENDED, *, within_s: float = 900.0) -> Document:
        """The rebuild as it is when it has come to one of *states*; one that ends otherwise ends the benchmark."""
        give_up_at = time.monotonic() + within_s
        while True:
            found = self.show(rebuild)
            if found["state"] in states:
                return found
            if found["state"] in ENDED or time.monotonic() > give_up_at:
                raise SystemExit(f"The rebuild is {found['state']}: {found['error']} {found['waiting_for']}")
            time.sleep(0.3)

    def change(self, rebuild: str, verb: str, **body: Any) -> tuple[Document, float]:  # noqa: ANN401 - JSON
        """``switch``, ``rollback`` and so on; the rebuild, and how many seconds the request took."""
        started = time.perf_counter()
        with self.client() as client:
            answer = client.post(f"/v1/rebuilds/{rebuild}/{verb}", json=body)
        took_s = time.perf_counter() - started
        if answer.is_error:
            raise SystemExit(f"{verb} was refused: {answer.text}")
        return answer.json(), took_s

    def models(self) -> Mapping[str, str]:
        """Names by digest."""
        with self.client() as client:
            return {
                model["digest"]: model["name"] for model in client.get("/v1/models").raise_for_status().json()["items"]
            }


def seconds(rebuild: Document, catalog: Rows) -> Mapping[str, float]:
    """How long each step of a rebuild took, by the catalog's clock."""
    [(created, embedding, embedded, switched)] = catalog.all(
        "SELECT created_at, embedding_at, embedded_at, switched_at FROM rebuilds WHERE public_id = ?", (rebuild["id"],)
    )
    steps = {
        "planned": (created, embedding),
        "embedded": (embedding, embedded),
        "compared and switched": (embedded, switched),
    }
    return {step: ended - began for step, (began, ended) in steps.items() if began is not None and ended is not None}
