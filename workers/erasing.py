"""Erasing: what was deleted leaves every place that it was in; then a look at each of them closes the receipt.

What can be done at once is done in the transaction that deletes (:mod:`services.catalog.people`). The rest is done here, when a
quarter of the time is over or when somebody waits: whatever happens on its own until then need not be hastened.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from services.broker.shadows import Shadows
from services.catalog.engine import Catalog
from services.catalog.erasing import erasures, rewriting, traces
from services.catalog.erasing.erasures import Entry
from services.catalog.running import held, processes
from services.catalog.schema import Collection
from services.catalog.tables.privacy import Erasure
from services.errors import PhotoStoreUnavailable
from services.logs import logger
from services.photos import keys, versions
from services.photos.volumes import Volumes
from services.receipts import LATER, Place
from services.vault import Vault
from workers import cleansed, upkeep

LOOK_EVERY_S = 60.0
"""How often it is looked after what nobody waits for."""
FREED_AFTER_S = 5.0
"""The store deletes what an object was made of a second or two after the object."""

Findings = dict[str, dict[str, Any]]


@dataclass
class Eraser:
    """What does it. One process at a time; killed half-way and run again it ends the same."""

    catalog: Catalog
    store: Vault
    shadows: Shadows
    volumes: Volumes | None
    """None: the store frees what is deleted by itself."""
    now: Callable[[], float] = time.time
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "volumes"))
    _freeing: Future[None] | None = None
    _began: float = 0.0
    _freed_at: float = 0.0
    """When volumes began to be written anew the last time that it went well."""

    def erase(self) -> int:
        """Do what is due, and look. Returns how many erasures were closed.

        Raises:
            Unavailable: Catalog, store or broker are away. What was done stays done.
        """
        self._mirror()
        with self.catalog.reading() as session:
            due = erasures.due(session, looked_s=LOOK_EVERY_S)
        if not due:
            return 0
        upkeep.remove_objects(self.catalog, self.store)
        found = {row.id: self._looked_at(row) for row in due}
        self._free(due, found)
        self._rewrite(due, found)
        return sum(self._write_down(row, found[row.id]) for row in due)

    def _mirror(self) -> None:
        """Write entries of the ledger down in the photo store: a lost catalog must not lose them."""
        with self.catalog.reading() as session:
            waiting = erasures.unmirrored(session)
        for row in waiting:
            told = json.dumps(Entry.of(row).to_json()).encode()
            self.store.put(keys.ledger(row.public_id), told, content_type="application/json")
        if waiting:
            with self.catalog.transaction() as session:
                erasures.mirrored(session, [row.id for row in waiting])

    def _looked_at(self, row: Erasure) -> Findings:
        """What is left of one erasure in places that can be asked one by one."""
        found: Findings = {}
        with self.catalog.reading() as session:
            collection = session.get(Collection, row.collection_id)
            searchers = processes.seen(session, "searcher")
            rows = erasures.left_in_rows(session, row)
        epoch, sequence = ("", -1) if collection is None else (collection.epoch, 0)
        if row.epoch == epoch:
            sequence = row.sequence
        back = "Rows of theirs are there again: " + ", ".join(f"{n} {what}" for what, n in rows._asdict().items() if n)
        self._note(found, row, "traces", back + "." if any(rows) else self._traces(row))
        self._note(found, row, "objects", self._objects(row))
        left = "" if collection is None else cleansed.left_in_indexes(searchers, row.collection_id, sequence)
        self._note(found, row, "indexes", left)
        on_shelf = cleansed.drop_snapshots(self.store, row.collection_id, epoch, sequence, self.now())
        self._note(found, row, "snapshots", on_shelf)
        self._note(
            found, row, "ledger", "" if self.store.exists(keys.ledger(row.public_id)) else "It is written down soon."
        )
        return found

    def _traces(self, row: Erasure) -> str:
        """Forget what speaks of them beside their rows."""
        ids = [each for each in (row.person, *row.merged, *row.faces, *row.photos) if each]
        with self.catalog.transaction() as session:
            traces.forget_late(session)
            traces.forget_answers(session, ids)
            traces.forget_reports(session, row.collection_id, row.asked_at)
        with self.catalog.reading() as session:
            jobs = traces.computed(session, row.collection_id, row.asked_at)
            compared = [key for key in held.compared(session) if key[0] == row.collection_id]
        cleansed.delete_under(self.store, (keys.reports(job) for job in jobs))
        for key in compared:
            self.shadows.forget(*key)
        is_waiting = self._drop_archives(row)
        return "An archive that may show them is still to be unpacked." if is_waiting else ""

    def _drop_archives(self, row: Erasure) -> bool:
        """Delete archives that a worker which died has left. Whether one from before is still to be taken in."""
        names = {stored.key.rpartition("/")[2]: stored.key for stored in self.store.list(f"{keys.ARCHIVES}/")}
        with self.catalog.reading() as session:
            needed = traces.archives(session, names)
        self.store.delete_many([key for job, key in names.items() if job not in needed])
        return any(
            each.collection_id == row.collection_id and each.created_at < row.asked_at for each in needed.values()
        )

    def _objects(self, row: Erasure) -> str:
        """Delete what a worker has written of them after their rows were gone."""
        collection = str(row.collection_id)
        names = [
            *(keys.chip(collection, face) for face in row.faces),
            *(named(collection, photo) for photo in row.photos for named in (keys.photo, keys.thumbnail)),
        ]
        late = cleansed.delete_under(self.store, names)
        if versions.are_kept(self.store.objects):
            late += versions.delete_old(self.store.objects, (*names, f"{keys.SNAPSHOTS}/{collection}/"))
        return f"{late} objects of theirs were there again, and are deleted." if late else ""

    def _free(self, due: Sequence[Erasure], found: dict[int, Findings]) -> None:
        """Have the store's volumes written anew once all objects of an erasure are deleted, and some seconds have passed."""
        ripe: dict[int, float] = {}
        for row in due:
            gone = [found[row.id][place]["since"] for place in ("traces", "objects", "snapshots")]
            if all(gone):
                ripe[row.id] = max(gone) + FREED_AFTER_S
        trouble = (
            "" if self.volumes is None else self._freed(self.volumes, [at for at in ripe.values() if at <= self.now()])
        )
        for row in due:
            left = "Objects are still to be deleted."
            if row.id in ripe:
                is_done = self.volumes is None or ripe[row.id] <= self._freed_at
                left = "" if is_done else trouble or "Volumes are about to be written anew."
            self._note(found[row.id], row, "store", left)

    def _freed(self, volumes: Volumes, ripe: Sequence[float]) -> str:
        """Have volumes written anew, beside everything else, where the last time is not later than what is *ripe*. What went wrong."""
        trouble = ""
        if self._freeing is not None and self._freeing.done():
            error, self._freeing = self._freeing.exception(), None
            if error is None:
                self._freed_at = self._began
            elif isinstance(error, PhotoStoreUnavailable):
                trouble = str(error)
            else:
                raise error
        if self._freeing is None and max(ripe, default=0.0) > self._freed_at:
            self._began = self.now()
            self._freeing = self._writer.submit(volumes.free)
        return trouble

    def _rewrite(self, due: Sequence[Erasure], found: dict[int, Findings]) -> None:
        """Have deleted rows leave the catalog's files, once all of them are deleted."""
        ready = [row for row in due if found[row.id]["traces"]["since"] is not None]
        waiting = [row for row in ready if not self._was_gone(row, "catalog")]
        left = ""
        if waiting:
            left = rewriting.rewrite(self.catalog, before=max(row.asked_at for row in waiting)).left
        for row in due:
            is_ready = row in ready
            self._note(found[row.id], row, "catalog", left if is_ready else "Rows are still to be deleted.")

    def _note(self, found: Findings, row: Erasure, place: Place, left: str) -> None:
        before = (row.findings or {}).get(place, {}).get("since")
        since = None if left else before or self.now()
        found[place] = {"left": left, "since": since}

    @staticmethod
    def _was_gone(row: Erasure, place: Place) -> bool:
        return (row.findings or {}).get(place, {}).get("since") is not None

    def _write_down(self, row: Erasure, findings: Findings) -> bool:
        """Write down what was found, and close the receipt where that is nothing."""
        is_closed = all(not findings[place]["left"] for place in LATER)
        with self.catalog.transaction() as session:
            erasures.look(session, row, findings, closed=is_closed)
        if is_closed:
            logger().info("erasure.closed", erasure=row.public_id)
        return is_closed
