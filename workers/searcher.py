"""The searcher: the process that holds the replicas. ``python -m workers.searcher``.

One thread drains what queries have arrived and answers them, those that came together as one batch. A second follows the
logs, loads and drops replicas, and has snapshots written. A third answers who looks alike (:mod:`workers.joining`). A search
never waits for them.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from index.engine import device
from index.engine.home import EngineHome
from index.engine.looking import Helper
from index.engine.sealing import SealingProcess
from index.follower import Home as ReplicaHome
from index.protocol import Head
from services import heartbeat, installation, tracing
from services.broker.joins import JoinDesk
from services.broker.requests import Query, Searching
from services.catalog.engine import Catalog
from services.catalog.running import held, meters, processes
from services.errors import BrokerUnavailable, CannotStart, CatalogUnavailable, ColegaError, IndexUnavailable
from services.logs import configure, last_words, logger
from services.meters import Meters
from services.settings.service import (
    BrokerSettings,
    CatalogSettings,
    Environment,
    Home,
    IndexSettings,
    MilvusSettings,
    Tracing,
)
from services.vault import Vault
from workers import searching, vitals
from workers.arrivals import Arrivals
from workers.joining import Joining
from workers.serving.cleansing import Cleansing
from workers.serving.folders import OwnFolder
from workers.serving.following import CatalogLog
from workers.serving.replicas import Keeping, Replicas
from workers.serving.shelving import PhotoStoreShelf
from workers.serving.snapshotting import Key

if TYPE_CHECKING:
    from workers.serving.milvus import Milvus

_MOST_QUERIES = 64
_PENDING_WAIT_S = 0.005
_BEAT_EVERY_S = 4.0
_AWAY_S = 0.5
_STANDS_STILL_S = 10.0
"""The loop that answers comes round several times a second, unless the broker hangs: who asks sees that by itself."""
_LEASE, _LEASE_S, _WRITES_S = "snapshots", 60.0, 30.0
"""Who has the lease acts on it for half its time: what was begun then ends before anybody else can have it."""
_SWITCH_S = 0.0005
"""A search gives the interpreter up ten times; it gets it back from the thread that follows within this."""


class Searcher:
    """The two loops, and what they hold."""

    def __init__(self, environment: Environment) -> None:
        catalog = environment.load(CatalogSettings)
        self._settings = environment.load(IndexSettings)
        self._catalog = Catalog(catalog.catalog_url.get_secret_value(), busy_s=catalog.catalog_busy_s, pool_size=4)
        self._store = Vault.of(environment, self._catalog)
        self._log = CatalogLog(self._catalog)
        broker_url = environment.load(BrokerSettings).broker_url.get_secret_value()
        self._broker = Searching(broker_url)
        self._folder = OwnFolder(environment.load(Home).data / "index")
        self._sealer, self._helper = SealingProcess(), Helper()
        self._device = device.chosen(
            self._settings.index_device, self._settings.index_gpu_vectors, budget_mb=self._settings.index_gpu_memory_mb
        )
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._writes_until = 0.0
        self._milvus = _milvus(environment, self._log, self._has_lease)
        self._kept: set[Key] = set()
        self._pinned: set[Key] = set()
        self._told: AbstractSet[Key] = set()
        self._replicas = Replicas(
            self._log,
            self._home,
            Keeping(
                self._settings.index_memory_mb,
                self._settings.index_snapshot_s,
                self._settings.index_snapshot_faces,
                pinned=lambda: self._pinned,
                uploads=self._has_lease,
                loaded=self._woken.set,
            ),
        )
        self._cleansing = Cleansing(
            self._catalog, self._folder, self._replicas, None if self._milvus is None else self._has_lease
        )
        self._joining = Joining(self._replicas, JoinDesk(broker_url))
        self._id = f"searcher@{socket.gethostname()}:{os.getpid()}"
        self._data = environment.load(Home).data
        self._meters, self._arrivals = Meters(), Arrivals()
        self._answered_at = time.monotonic()

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        sys.setswitchinterval(_SWITCH_S)
        follows = threading.Thread(target=self._follow, name="follower")
        joins = threading.Thread(target=self._joining.run, args=(self._stopping,), name="joins")
        follows.start()
        joins.start()
        logger().info("searcher.started", device=self._device.name)
        pending: list[Query] = []
        while not self._stopping.is_set():
            try:
                pending = self._answer(pending)
            except BrokerUnavailable:
                self._stopping.wait(_AWAY_S)
        self._woken.set()
        joins.join()
        self._joining.close()
        follows.join()
        self._say_goodbye()
        logger().info("searcher.stopped")

    def _answer(self, pending: list[Query]) -> list[Query]:
        """Take what has arrived and answer what can be answered; returns what waits for its replica."""
        arrived = self._broker.arrived(
            block_s=_PENDING_WAIT_S if pending else self._settings.index_poll_s,
            most=_MOST_QUERIES,
            gather_s=self._device.gather_s,
        )
        self._answered_at = time.monotonic()
        if arrived.woken:
            self._arrivals.note(arrived.news)
            self._woken.set()
        waiting = []
        for query, outcome in searching.answers([*pending, *arrived.queries], self._replicas):
            if isinstance(outcome, ColegaError):
                self._broker.fail(query.ask, outcome)
                searching.tell(query, outcome)
            elif outcome is not None:
                self._broker.answer(query.ask, outcome)
                searching.tell(query, outcome)
            else:
                waiting.append(query)
        if self._replicas.is_wanted:
            self._woken.set()
        return waiting

    def _follow(self) -> None:
        """Move the replicas until told to stop. What goes wrong here never ends a search."""
        next_beat = 0.0
        while not self._stopping.is_set():
            try:
                heads = self._log.heads()
                if time.monotonic() >= next_beat:
                    self._prepare()
                self._replicas.follow(heads)
                self._arrivals.settle(self._replicas.sequences, self._meters)
                is_cleansed = self._cleansing.tend()
                if (
                    is_cleansed or self._told != self._replicas.here
                ):  # A switch or an erasure may wait for what is here now.
                    self._beat(heads)
                if time.monotonic() >= next_beat:
                    self._beat(heads)
                    self._folder.sweep(self._replicas.in_use, self._kept)
                    next_beat = time.monotonic() + _BEAT_EVERY_S
            except (CatalogUnavailable, BrokerUnavailable, IndexUnavailable):
                heartbeat.note(self._data, "searcher", well=False)
                self._stopping.wait(_AWAY_S)
            except Exception:  # noqa: BLE001 - A follower that died silently would serve yesterday's people for ever.
                logger().exception("searcher.follower_failed")
                self._stopping.wait(_AWAY_S)
            self._woken.wait(self._settings.index_poll_s)
            self._woken.clear()

    def _home(self, collection: int, generation: int) -> ReplicaHome:
        with self._catalog.reading() as session:
            dimension = held.dimension(session, generation)
        if self._milvus is not None:
            return self._milvus.home(collection, generation, dimension)
        return EngineHome(
            dimension,
            self._folder.of(collection, generation),
            self._sealer,
            shelf=PhotoStoreShelf(self._store, collection, generation),
            helper=self._helper,
            keeping=self._settings.index_vectors,
            device=self._device,
            least=self._cleansing.least(collection),
        )

    def _prepare(self) -> None:
        """Take or renew the lease of the one who uploads snapshots, or writes to Milvus; read what is held and what no longer.

        Who writes to Milvus holds all generations: the others follow what it has written.
        """
        asked_at = time.monotonic()
        with self._catalog.transaction() as session:
            has_lease = processes.acquire(session, _LEASE, self._id, _LEASE_S)
        self._writes_until = asked_at + _WRITES_S if has_lease else 0.0
        names = {name.strip() for name in self._settings.index_pinned.split(",") if name.strip()}
        with self._catalog.reading() as session:
            searched = held.searched(session, pinned=names)
        self._kept = {each.key for each in searched}
        writes = self._milvus is not None and has_lease
        self._pinned = self._kept if writes else {each.key for each in searched if each.is_pinned}
        self._replicas.let_go(self._kept)
        if self._milvus is not None:
            self._milvus.tend(self._kept)

    def _has_lease(self) -> bool:
        return time.monotonic() < self._writes_until

    def _beat(self, heads: Mapping[int, Head]) -> None:
        """Say that it runs, but not while the loop that answers stands still."""
        self._broker.register()
        if time.monotonic() - self._answered_at > _STANDS_STILL_S:
            return
        self._told = self._replicas.here
        details = {"device": self._device.name, "replicas": self._replicas.described(heads)}
        details |= vitals.of_process(self._data) | self._cleansing.described()
        counts = self._meters.taken()
        try:
            with self._catalog.transaction() as session:
                told = {**details, "clock_off_s": processes.clock_off_s(session)}
                processes.beat(
                    session, self._id, kind="searcher", host=socket.gethostname(), pid=os.getpid(), details=told
                )
                meters.add(session, counts)
            heartbeat.note(self._data, "searcher", well=True)
        except CatalogUnavailable:
            self._meters.give_back(counts)
            raise

    def _say_goodbye(self) -> None:
        self._replicas.close()
        self._sealer.close()
        if self._milvus is not None:
            self._milvus.close()
        try:
            with self._catalog.transaction() as session:
                processes.gone(session, self._id)
                processes.release(session, _LEASE, self._id)
        except ColegaError:
            pass  # It is forgotten when it was not seen for a while.
        self._catalog.close()

    def _stop(self, *_: object) -> None:
        self._stopping.set()


def _milvus(environment: Environment, log: CatalogLog, has_lease: Callable[[], bool]) -> "Milvus | None":
    """The Milvus that the settings ask for, if they do.

    Raises:
        CannotStart: Its client is not installed.
        InvalidSettings: Its address is missing.
    """
    if environment.load(IndexSettings).index_backend != "milvus":
        return None
    try:
        from workers.serving.milvus import Milvus  # noqa: PLC0415 - An extra, and a second to import.
    except ModuleNotFoundError as error:
        raise CannotStart("Milvus's client is not installed: pip install 'colega[milvus]'.") from error
    return Milvus(environment.load(MilvusSettings), log, has_lease)


def main() -> None:
    """The command of the process."""
    try:
        environment = Environment.of_process()
    except ColegaError as error:
        sys.exit(str(error))
    home = environment.load(Home)
    configure(home)
    os.umask(0o077)  # Vectors lie here as they are: nobody else reads them.
    try:
        installation.check()
        tracing.configure(environment.load(Tracing), "searcher")
        Searcher(environment).run()
    except ColegaError as error:
        sys.exit(last_words(home, error))


if __name__ == "__main__":
    main()
