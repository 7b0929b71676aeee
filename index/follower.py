"""The follower: moves a replica along a log. No threads and no clock; the searcher calls it."""

from dataclasses import dataclass, field
from typing import Protocol

from index.protocol import Head, Log
from index.replica import Replica

_BATCH = 2000


class Home(Protocol):
    """Where a replica lives, and what is left there of an earlier one."""

    def restored(self, epoch: str) -> tuple[Replica | None, list[str]]:
        """The newest replica of this history that is kept there, if one is usable, and what was wrong with others."""

    def empty(self, epoch: str) -> Replica:
        """A replica without faces."""


@dataclass(slots=True)
class Follower:
    """One replica and the log it follows."""

    log: Log
    collection: int
    generation: int
    """In which its faces are looked at: a model and a detection of them."""
    home: Home
    replica: Replica | None = None
    reloads: int = 0
    """How often the replica could not go on and was made anew: another history, a gap in the log, damaged files."""
    origin: str = ""
    """What the replica was made from: ``snapshot`` or ``rows``."""
    troubles: list[str] = field(default_factory=list)
    """What went wrong on the way, for the caller to report and to clear."""

    def start(self) -> Replica | None:
        """Make the replica anew: from the newest snapshot of this history, else from rows; then up to the head.

        The old replica stays where it was until the new one is there. None: the collection is gone.
        """
        from_rows = False
        while (head := self.log.head(self.collection)) is not None:
            replica = None if from_rows else self._from_snapshot(head)
            self.origin = "rows" if replica is None else "snapshot"
            if replica is None:
                replica = self._from_rows(head)
            now = self.log.head(self.collection)
            if now is not None and now.epoch == replica.epoch and self._advance(replica, now):
                self.replica = replica
                return replica
            from_rows = True  # What the snapshot needs of the log was pruned, or another catalog was put in its place.
        self.replica = None
        return None

    def catch_up(self, head: Head | None = None) -> bool:
        """Apply what the log has up to *head*, as just read, or read it now. Nothing is lost by calling it late.

        Returns:
            False: the replica cannot go on from where it is and must be started anew. After a gap it stays as it was
            until then; one of another history is thrown away at once.
        """
        head = head or self.log.head(self.collection)
        if head is None:
            self.replica = None
            return True
        if self.replica is None:
            return False
        if self.replica.epoch != head.epoch or self.replica.sequence > head.sequence:
            self.replica = None
            self.reloads += 1
            self.troubles.append(f"The log of collection {self.collection} has another history: made anew.")
            return False
        if self.replica.is_outdated:
            self.reloads += 1
            self.troubles.append(f"The index of collection {self.collection} was replaced elsewhere: made anew.")
            return False
        if not self._advance(self.replica, head):
            self.reloads += 1
            self.troubles.append(f"The log of collection {self.collection} has a gap: made anew.")
            return False
        return True

    def follow(self) -> Replica | None:
        """The replica at the head of its log, started or started anew where it must be. None: the collection is gone."""
        return self.replica if self.catch_up() else self.start()

    def lag(self, head: Head) -> int:
        """How many log entries the replica is behind *head*."""
        return head.sequence - (self.replica.sequence if self.replica is not None else 0)

    def _from_snapshot(self, head: Head) -> Replica | None:
        replica, troubles = self.home.restored(head.epoch)
        self.troubles += troubles
        if replica is not None and replica.sequence > head.sequence:
            now = self.log.head(self.collection)  # Somebody may have written since *head* was read.
            if now is not None and now.epoch == head.epoch and replica.sequence <= now.sequence:
                return replica
            self.troubles.append(f"A snapshot at {replica.sequence} is ahead of the log, which is at {head.sequence}.")
            return None
        return replica

    def _from_rows(self, head: Head) -> Replica:
        """All rows, as of *head* or a little later: what is replayed twice changes nothing, entries are idempotent."""
        replica = self.home.empty(head.epoch)
        rows = self.log.faces(self.collection, self.generation)
        replica.fill(rows, self.log.attributes(self.collection), sequence=head.sequence)
        return replica

    def _advance(self, replica: Replica, head: Head) -> bool:
        """Apply entries up to *head*, as far as the replica can go. False: the next one is not there any more, or belongs to another history."""
        goal = replica.reach(head.sequence)
        while replica.sequence < goal:
            most = min(_BATCH, goal - replica.sequence)
            entries = self.log.entries(self.collection, self.generation, replica.epoch, replica.sequence, most)
            if not entries or entries[0].sequence != replica.sequence + 1:
                return False
            replica.apply(entries)
        return True
