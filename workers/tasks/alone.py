"""One computation in a process of its own: ``python -m workers.tasks.alone``, what ``colega … --local`` starts.

What is wanted is read from standard input, one JSON document::

    {"kind": "evaluation", "wanted": {…}, "output": "DIR"}      over folders: no service is needed
    {"kind": "evaluation", "wanted": {…}, "collection": "C"}    a collection's faces, by catalog and photo store

Progress goes to standard error, a JSON document a line: ``{"progress": {…}}``; an error is such a line too. The result is
one JSON document on standard output. Started again with the same request after it was stopped or killed, a computation
over folders goes on from where it was. Exit status: 0 done, 2 refused, 3 failed, 130 stopped.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services import installation
from services.catalog import collections, computations
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.schema import Job
from services.errors import ColegaError, Conflict, InvalidRequest, Refused
from services.logs import configure
from services.settings.service import CatalogSettings, Computing, Environment, Home, Limits
from services.vault import Vault
from workers import computing
from workers.computing import Parts
from workers.folder_bench import FolderBench
from workers.models.registry import Registry, computing_by

REFUSED, FAILED, STOPPED = 2, 3, 130
_TELL_EVERY_S = 0.2
_KEPT_S = 7 * 86_400.0


class Ended(ColegaError):
    """The computation of a collection ended otherwise than done; its job says how."""


class _Telling:
    """Progress as lines, a few a second; the first of every stage at once."""

    def __init__(self) -> None:
        self._told_at, self._stage = 0.0, ""

    def __call__(self, progress: Mapping[str, Any]) -> None:
        stage = str(progress.get("stage"))
        if stage != self._stage or time.monotonic() - self._told_at > _TELL_EVERY_S:
            self._told_at, self._stage = time.monotonic(), stage
            _line({"progress": computing.plain(progress)})


def over_folders(request: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """Compute on photos in folders. Returns the result, with the ``files`` that were kept."""
    home, limits = environment.load(Home), environment.load(Limits)
    wanted = request["wanted"]
    mark = hashlib.sha256(json.dumps([request["kind"], wanted], sort_keys=True).encode()).hexdigest()[:16]
    with _folder_of(home.data / "computing", f"local-{mark}") as folder:
        bench = FolderBench(
            home.data / "models",
            folder,
            Path(request["output"]),
            None if wanted.get("dataset") is None else Path(wanted["dataset"]),
            limits.max_pixels,
            _Telling(),
        )
        with computing.torch_or_command():
            result = computing.plain(computing.verb_of(request["kind"])(wanted, bench))
        shutil.rmtree(folder, ignore_errors=True)
    return {**result, "files": {name: str(path) for name, path in bench.kept.items()}}


def on_a_collection(request: Mapping[str, Any], environment: Environment) -> dict[str, Any]:
    """Compute on a collection's faces, as a job that no worker is sent. Returns its result.

    Raises:
        Ended: It failed or was cancelled.
    """
    limits, home, catalog = environment.load(Limits), environment.load(Home), _catalog(environment)
    store = Vault.of(environment, catalog)
    ways = computing_by(environment.load(Computing))
    registry = Registry(catalog, store.objects, home.data / "models", computing=ways, max_pixels=limits.max_pixels)
    name = f"{socket.gethostname()}:{os.getpid()}"
    parts = Parts(catalog, store, registry, name, home.data / "computing", limits.max_pixels, heard=_Telling())
    with catalog.transaction() as session:
        collection = collections.by_name(session, request["collection"])
        job = computations.create(session, collection.id, request["kind"], request["wanted"], source="--local")
    try:
        computing.run(job.id, parts)
    except KeyboardInterrupt:
        with catalog.transaction() as session:
            jobs.cancel(session, session.get_one(Job, job.id))
        raise
    with catalog.reading() as session:
        row = session.get_one(Job, job.id)
        ended = computations.of(session, row)
    if ended.state != "done":
        raise Ended(row.error or f"Job {row.public_id} is {ended.state}.")
    return {**(ended.result or {}), "job": row.public_id}


@contextlib.contextmanager
def _folder_of(computing_folder: Path, name: str) -> Iterator[Path]:
    """The folder of one computation, for one process at a time; those that nobody went on with for long are removed.

    Raises:
        Conflict: Another process has it.
    """
    folder = computing_folder / name
    folder.mkdir(parents=True, exist_ok=True)
    for other in computing_folder.glob("local-*"):
        if other != folder and time.time() - other.stat().st_mtime > _KEPT_S:
            shutil.rmtree(other, ignore_errors=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise Conflict("The same is being computed by another process. Wait for it, or end it.") from None
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # Where there is nothing to go on from.
        os.close(handle)


def _catalog(environment: Environment) -> Catalog:
    settings = environment.load(CatalogSettings)
    return Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)


def _line(told: Mapping[str, Any]) -> None:
    sys.stderr.write(json.dumps(told, ensure_ascii=False) + "\n")
    sys.stderr.flush()


def _request() -> dict[str, Any]:
    try:
        request = json.load(sys.stdin)
        if request["kind"] in computations.KINDS and isinstance(request["wanted"], dict):
            return dict(request)
    except (ValueError, KeyError, TypeError):
        pass
    raise InvalidRequest(f"Standard input: a JSON object with kind ({', '.join(computations.KINDS)}) and wanted.")


def main() -> int:
    """The command of the process; its exit status."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What libraries print is no result.
    try:
        installation.check()
        environment = Environment.of_process()
        configure(environment.load(Home))
        request = _request()
        work = on_a_collection if request.get("collection") else over_folders
        json.dump(work(request, environment), out, ensure_ascii=False)
    except ColegaError as error:
        _line({"error": str(error), "type": error.type})
        return REFUSED if isinstance(error, (Refused, Ended)) else FAILED
    except KeyboardInterrupt:
        return STOPPED
    out.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
