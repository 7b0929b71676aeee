"""Shadows: the last searches as the model of a rebuild sees them, beside how the present one does.

Kept only where ``COLEGA_SHADOW_QUERIES`` asks for it, only while a rebuild is under way, and only as embeddings: no photo, no
name, and nothing on a disk.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from services.broker.replies import connect, speaking

_NAMES = "colega:shadows"
_LIVE_S = 86_400
"""After the last search. Long before that whoever conducts the rebuild has forgotten them."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """Under which model a query is to be kept, and for which generation."""

    collection: int
    generation: int
    """What is being made."""
    model: str
    """Digest of its embedder."""
    most: int
    """So many are kept: the last ones."""


class Pair(NamedTuple):
    """One face that was searched with, under two models; each vector as base64 of little-endian float32."""

    before: str
    after: str


class Shadows:
    """What is kept of a generation's shadow. Safe to share between threads.

    Every method raises BrokerUnavailable where the broker does not answer.
    """

    def __init__(self, broker_url: str) -> None:
        self._redis = connect(broker_url)

    def keep(self, shadow: Shadow, pairs: Sequence[Pair]) -> None:
        """Keep *pairs*; the oldest beyond ``shadow.most`` go."""
        if not pairs:
            return
        key = (shadow.collection, shadow.generation)
        with speaking():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.sadd(_NAMES, _list_of(*key))
            pipeline.expire(_NAMES, _LIVE_S)
            pipeline.lpush(_list_of(*key), *(f"{pair.before} {pair.after}" for pair in pairs))
            pipeline.ltrim(_list_of(*key), 0, shadow.most - 1)
            pipeline.expire(_list_of(*key), _LIVE_S)
            pipeline.execute()

    def read(self, collection: int, generation: int) -> list[Pair]:
        """What is kept of that generation, the last first."""
        with speaking():
            held = cast("list[bytes]", self._redis.lrange(_list_of(collection, generation), 0, -1))
        return [Pair(*line.decode().split(" ")) for line in held]

    def forget(self, collection: int, generation: int) -> None:
        """Forget what is kept of that generation: its rebuild has ended."""
        with speaking():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.delete(_list_of(collection, generation))
            pipeline.srem(_NAMES, _list_of(collection, generation))
            pipeline.execute()

    def forget_others(self, kept: Collection[tuple[int, int]]) -> None:
        """Forget what is kept of all generations but those, given as collection and generation."""
        names = {_list_of(*key) for key in kept}
        with speaking():
            for name in cast("set[bytes]", self._redis.smembers(_NAMES)):
                if name.decode() not in names:
                    self._redis.delete(name)
                    self._redis.srem(_NAMES, name)


def _list_of(collection: int, generation: int) -> str:
    return f"colega:shadow:{collection}:{generation}"
