"""Computing: a training, an evaluation, a calibration, a quantisation or a comparison from its row to its end.

The row is held under a lease that a thread renews; the same thread writes down how far the computation is and notices
that it was cancelled or that this process is to end. Killed at any moment, it is found by the sweep, claimed again, and
goes on from what is in its folder.
"""

import contextlib
import importlib
import math
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from services import installation
from services.catalog import computations, evaluations
from services.catalog.computations import Held
from services.catalog.engine import Catalog
from services.errors import Cancelled, CatalogUnavailable, ColegaError, PhotoStoreUnavailable
from services.logs import logger
from services.settings.backup import BackupSettings
from services.vault import Vault
from workers.collection_bench import CollectionBench
from workers.models.registry import Registry
from workers.shadowed import Queries, no_queries
from workers.workbench import Workbench

Verb = Callable[[Mapping[str, Any], Workbench], Mapping[str, Any]]
"""What is wanted and the workbench, to a result that JSON can say."""

LEASE_S = 30.0
REPORT = "report.html"
"""The file of an evaluation that people look at."""
_RENEW_S, _TELL_S = 5.0, 1.0
_KEPT_S = 7 * 86_400.0
"""How long the folder of a failed computation waits to be gone on with."""

VERBS: Mapping[str, tuple[str, str]] = {
    computations.TRAINING: ("workers.tuning", "train"),
    computations.EVALUATION: ("workers.evaluating", "evaluate"),
    computations.CALIBRATION: ("workers.calibrating", "calibrate"),
    computations.QUANTISATION: ("workers.quantising", "quantise"),
    computations.COMPARISON: ("workers.comparing", "compare"),
    computations.CHECK: ("workers.checking", "check"),
    computations.BACKUP: ("workers.backing_up", "back_up"),
}

_TORCH = {"torch", "torchvision", "facenet_pytorch", "pytorch_metric_learning"}


def verb_of(kind: str) -> Verb:
    """The verb that computes jobs of *kind*; what it needs is imported now.

    Raises:
        CannotStart: torch or what goes with it is not installed.
    """
    module, name = VERBS[kind]
    with torch_or_command():
        return cast("Verb", getattr(importlib.import_module(module), name))


class torch_or_command:  # noqa: N801 - reads as the statement that it is
    """What is missing of torch inside the ``with`` block becomes an error that says how to install it here."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in _TORCH:
            raise installation.missing("train", str(error.name)) from None


@dataclass(frozen=True, slots=True)
class Parts:
    """What computations work with, opened once a process."""

    catalog: Catalog
    store: Vault
    models: Registry
    name: str
    """Who claims, as ``host:pid``."""
    folder: Path
    """Where computations keep what they go on from, a folder each."""
    max_pixels: int
    pause: Callable[[float], bool] = lambda seconds: threading.Event().wait(seconds)
    """Waits; True: this process is to end."""
    leave: Callable[[], None] = lambda: None
    """Called when the computation was given back because this process is to end."""
    heard: Callable[[Mapping[str, Any]], None] = lambda progress: None  # noqa: ARG005
    """Takes what is told too, in this process."""
    backups: BackupSettings = field(default_factory=BackupSettings)
    queries: Queries = no_queries
    """Recent searches of a collection under two models, for comparisons."""


def run(job_id: int, parts: Parts, verb: Callable[[str], Verb] = verb_of) -> None:
    """Compute a job, unless it has ended or somebody else holds it. Whatever comes of it is in its row.

    Raises:
        Unavailable: The catalog is away; the job waits to be sent again.
    """
    with parts.catalog.transaction() as session:
        held = computations.claim(session, job_id, by=parts.name, lease_s=LEASE_S)
    if held is None:
        return
    folder = parts.folder / held.job.public_id
    folder.mkdir(parents=True, exist_ok=True)
    keeper = _Keeper(parts, held)
    bench = CollectionBench(
        parts.catalog,
        parts.store,
        parts.models,
        held.collection,
        held.job.public_id,
        folder,
        parts.max_pixels,
        keeper.tell,
        parts.queries,
        backups=parts.backups,
    )
    keeper.start()
    try:
        with torch_or_command():
            wanted = {**held.computation.parameters, "collection": held.collection.name}
            result = plain(verb(held.job.kind)(wanted, bench))
    except Cancelled:
        outcome = "cancelled"
    except (CatalogUnavailable, PhotoStoreUnavailable) as error:
        outcome = f"put back: {error.type}"
        keeper.end()
        _put_back(parts, held)
    except ColegaError as error:
        outcome = _failed(parts, held, keeper, str(error), error.type)
    except MemoryError:
        outcome = _failed(parts, held, keeper, "The training worker has no more memory for it.", ColegaError.type)
    except Exception:  # noqa: BLE001 - Whatever a verb has wrong ends its job, not the worker.
        logger().exception("computation.broke", job=held.job.public_id, kind=held.job.kind)
        said = "Something went wrong inside colega. The log of the training worker says what."
        outcome = _failed(parts, held, keeper, said, ColegaError.type)
    else:
        keeper.end()
        outcome = _done(parts, held, result, bench)
    finally:
        keeper.end()
        with contextlib.suppress(OSError):
            folder.rmdir()  # Where there is nothing to go on from.
    logger().info("computation.ended", job=held.job.public_id, kind=held.job.kind, outcome=outcome)
    sweep_folders(parts)


def sweep_folders(parts: Parts) -> None:
    """Remove the folders of computations that are done or cancelled, or that failed long ago."""
    there = {path.name for path in parts.folder.glob("job_*")}
    with parts.catalog.reading() as session:
        wanted = computations.resumable(session, there, failed_within_s=_KEPT_S)
    for job in there - wanted:
        shutil.rmtree(parts.folder / job, ignore_errors=True)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a verb gives
    """*value* as every database's JSON takes it: arrays as lists, and numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(held) for held in value]
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers.
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _done(parts: Parts, held: Held, result: dict[str, Any], bench: CollectionBench) -> str:
    with parts.catalog.transaction() as session:
        if not computations.finish(session, held, {**result, "files": sorted(bench.kept)}):
            return "no longer ours"
        if held.job.kind == computations.EVALUATION:
            row = evaluations.add(session, held.job, result, bench.kept.get(REPORT))
            computations.note(session, held, {"evaluation": row.public_id})
    return "done"


def _failed(parts: Parts, held: Held, keeper: "_Keeper", error: str, problem: str) -> str:
    keeper.end()
    with parts.catalog.transaction() as session:
        computations.fail(session, held, error, problem)
    return f"failed: {problem}"


def _put_back(parts: Parts, held: Held) -> None:
    try:
        with parts.catalog.transaction() as session:
            computations.put_back(session, held)
    except CatalogUnavailable:
        pass  # The lease expires.


@dataclass
class _Keeper:
    """The thread that keeps a computation ours."""

    parts: Parts
    held: Held
    _told: Mapping[str, Any] | None = None
    _lost: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Keep it no longer; what was told last is written down."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None
            self._renew()

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Take what is to be written down.

        Raises:
            Cancelled: The computation was cancelled, or is somebody else's, or this process ends.
        """
        self._told = plain(progress)
        self.parts.heard(progress)
        if self._lost.is_set():
            raise Cancelled(f"Job {self.held.job.public_id} was cancelled.")

    def _keep(self) -> None:
        slept = 0.0
        while not self._over.is_set():
            if self.parts.pause(_TELL_S / 4):
                _put_back(self.parts, self.held)
                self._lost.set()
                self.parts.leave()
                return
            slept += _TELL_S / 4
            due = slept >= (_TELL_S if self._told is not None else _RENEW_S)
            if due and not self._over.is_set():
                slept = 0.0
                self._renew()

    def _renew(self) -> None:
        told, self._told = self._told, None
        try:
            with self.parts.catalog.transaction() as session:
                if not computations.renew(session, self.held, LEASE_S, told):
                    self._lost.set()
        except CatalogUnavailable:
            self._told = self._told or told
