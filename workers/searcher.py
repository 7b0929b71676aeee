"""The searcher: the process that holds the replicas. ``python -m workers.searcher``.

One thread: it drains what queries have arrived, follows the logs, and answers. Nothing that FAISS searches is changed at
the same time, because nothing else happens at the same time.
"""

import os
import signal
import socket
import sys
import time

from services.broker.requests import Query, Searching
from services.catalog import models, processes
from services.catalog.engine import Catalog
from services.errors import BrokerUnavailable, CatalogUnavailable, ColegaError, WorkersBusy
from services.logs import configure, logger
from services.settings import BrokerSettings, CatalogSettings, Environment, Home, IndexSettings
from workers import searching
from workers.following import CatalogLog
from workers.searching import Replicas

_MOST_QUERIES = 64
_BEAT_EVERY_S = 4.0
_AWAY_S = 0.5


class Searcher:
    """The loop, and what it holds."""

    def __init__(self, environment: Environment) -> None:
        catalog = environment.load(CatalogSettings)
        index = environment.load(IndexSettings)
        self._catalog = Catalog(catalog.catalog_url.get_secret_value(), busy_s=catalog.catalog_busy_s, pool_size=2)
        self._log = CatalogLog(self._catalog)
        self._broker = Searching(environment.load(BrokerSettings).broker_url.get_secret_value())
        self._replicas = Replicas(self._log, memory_mb=index.index_memory_mb)
        self._poll_s = index.index_poll_s
        self._dimensions: dict[int, int] = {}
        self._pending: list[Query] = []
        self._next_beat = 0.0
        self._stopping = False
        self._id = f"searcher@{socket.gethostname()}:{os.getpid()}"

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        log = logger()
        log.info("searcher.started")
        while not self._stopping:
            try:
                self._turn()
            except CatalogUnavailable as error:
                self._fail_all(error)
                time.sleep(_AWAY_S)
            except BrokerUnavailable:
                time.sleep(_AWAY_S)
        self._say_goodbye()
        log.info("searcher.stopped")

    def _turn(self) -> None:
        """Take what has arrived, follow the logs, answer what can be answered."""
        waits_s = 0.01 if self._pending else self._poll_s
        try:
            self._pending += self._broker.queries(block_s=waits_s, most=_MOST_QUERIES)
        except BrokerUnavailable:
            time.sleep(_AWAY_S)  # Replicas go on following meanwhile.
        heads = self._log.heads()
        self._replicas.follow(heads)
        waiting = []
        for query in self._pending:
            outcome = searching.answer(query, self._replicas, self._dimension(query))
            if outcome.answer is not None:
                self._broker.answer(query.ask, outcome.answer)
            elif outcome.error is not None:
                self._broker.fail(query.ask, outcome.error)
            else:
                waiting.append(query)
        self._pending = waiting
        if time.monotonic() >= self._next_beat:
            self._beat({"replicas": self._replicas.described(heads)})

    def _dimension(self, query: Query) -> int:
        assert query.ask.search is not None
        number = query.ask.search.model
        if number not in self._dimensions:
            with self._catalog.reading() as session:
                self._dimensions[number] = models.by_id(session, number).dimension or 0
        return self._dimensions[number]

    def _beat(self, details: dict[str, object]) -> None:
        self._broker.register()
        host, pid = socket.gethostname(), os.getpid()
        with self._catalog.transaction() as session:
            processes.beat(session, self._id, kind="searcher", host=host, pid=pid, details=details)
        self._next_beat = time.monotonic() + _BEAT_EVERY_S

    def _fail_all(self, error: ColegaError) -> None:
        for query in self._pending:
            self._broker.fail(query.ask, WorkersBusy(str(error)))
        self._pending = []

    def _say_goodbye(self) -> None:
        try:
            with self._catalog.transaction() as session:
                processes.gone(session, self._id)
        except ColegaError:
            pass  # It is forgotten when it was not seen for a while.
        self._catalog.close()

    def _stop(self, *_: object) -> None:
        self._stopping = True


def main() -> None:
    """The command of the process."""
    try:
        environment = Environment.of_process()
        configure(environment.load(Home))
        Searcher(environment).run()
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
