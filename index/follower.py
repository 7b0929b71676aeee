"""The follower: moves a replica along a log. No threads and no clock; the searcher calls it."""

from dataclasses import dataclass

import numpy as np

from index.protocol import Head, Log
from index.replica import Replica

_BATCH = 2000


@dataclass(slots=True)
class Follower:
    """One replica and the log it follows."""

    log: Log
    collection: int
    model: int
    dimension: int
    replica: Replica | None = None
    reloads: int = 0
    """How often the replica was thrown away and started from rows."""

    def start(self) -> Replica | None:
        """Start from rows: read the head, then the rows, then replay from that head. None: the collection is gone.

        What changed between the head and the rows is replayed once more, which changes nothing: entries are idempotent.
        """
        head = self.log.head(self.collection)
        if head is None:
            self.replica = None
            return None
        replica = Replica(self.dimension, epoch=head.epoch)
        for faces, persons, vectors in self.log.faces(self.collection, self.model):
            replica.load(faces, persons, vectors.astype(np.float32), sequence=head.sequence)
        replica.index.advance(head.sequence)
        self.replica = replica
        return self.catch_up(None)

    def catch_up(self, head: Head | None) -> Replica | None:
        """Apply what the log has beyond the replica.

        Args:
            head: The head as read with those of other collections; None reads it here.

        Returns:
            The replica as of the head, or None where the collection is gone.
        """
        replica = self.replica
        head = head or self.log.head(self.collection)
        if head is None:
            self.replica = None
            return None
        if replica is None or self._is_another_history(replica, head):
            self.reloads += replica is not None
            return self.start()
        while replica.sequence < head.sequence:
            entries = self.log.entries(self.collection, self.model, replica.sequence, _BATCH)
            if not entries or entries[0].sequence != replica.sequence + 1:
                self.reloads += 1
                return self.start()  # A gap: the entries it needs were pruned.
            replica.apply(entries)
        return replica

    def lag(self, head: Head) -> int:
        """How many log entries the replica is behind *head*."""
        return head.sequence - (self.replica.sequence if self.replica is not None else 0)

    @staticmethod
    def _is_another_history(replica: Replica, head: Head) -> bool:
        return replica.epoch != head.epoch or replica.sequence > head.sequence
