"""Holding: what a searcher knows of a replica that it has."""

from dataclasses import dataclass

from index.follower import Follower


@dataclass(slots=True)
class Held:
    """A replica in use, and what is known of it beside its content."""

    follower: Follower
    used_at: float
    settled_at: float = 0.0
    is_busy: bool = True
    """Whether sealing or compaction goes on, or may have to."""
    size_bytes: int = 0
    refused: int = 0
    """Embeddings passed over, as last reported."""
    recovered: str = ""
    """What it last recovered from: a gap, another history, a damaged file."""
    dropped_at: float | None = None
    """When its generation was found to be dropped."""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing has to be done for it unless its log grows."""
        replica = self.follower.replica
        return replica is not None and not self.is_busy and not replica.is_outdated
