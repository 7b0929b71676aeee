"""What two generations of a collection have in common, read from catalog, photo store and broker for a comparison."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.broker.shadows import Pair
from services.catalog import calibrations, generations, log, models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import comparisons
from services.catalog.rebuilding.comparisons import Enrolled, Look, PairRow
from services.catalog.schema import Generation
from services.errors import BrokerUnavailable, NotFound
from services.logs import logger
from services.vault import Vault
from workers.evaluation.shadow import MOST_FACES, Seen, Shadow, Side
from workers.faces import chips
from workers.faces.values import Chip, Vectors
from workers.serving.vectors import vectors_of

Queries = Callable[[int, int], Sequence[Pair]]
"""By collection and generation."""

_BUILT_IN = "mtcnn"


def no_queries(collection_id: int, generation_id: int) -> Sequence[Pair]:
    """Nobody keeps any."""
    del collection_id, generation_id
    return ()


def of_generations(
    catalog: Catalog,
    store: Vault,
    collection_id: int,
    numbers: tuple[int, int],
    *,
    queries: Queries,
    rebuild: str | None,
    seed: int,
) -> Shadow:
    """The faces that both generations hold; of more than 100,000, those of people drawn by lot.

    Args:
        catalog: Read only.
        store: For chips, when they are looked at.
        collection_id: Whose generations they must be.
        numbers: Of the one that is searched now, and of the other one.
        queries: Gives the recent searches.
        rebuild: Public id of the one whose findings count.
        seed: Of the lot.

    Raises:
        NotFound: A generation is gone, or not of this collection.
    """
    with catalog.reading() as session:
        at = log.head(session, collection_id)
        before, after = (generations.by_id(session, number) for number in numbers)
        for generation in (before, after):
            if generation.collection_id != collection_id:
                raise NotFound("generation of this collection", generation.id)
        everybody = comparisons.people(session, before, after)
        chosen = drawn(everybody, MOST_FACES, seed)
        parts = [_Part.of(rows) for rows in comparisons.pairs(session, before, after, chosen) if rows]
        if not parts:
            parts = [_Part.none(*(models.by_id(session, each.model_id).dimension or 1 for each in (before, after)))]
        findings = comparisons.findings(session, collection_id, rebuild)
        limits = comparisons.parameters(session, collection_id, rebuild)
    faces, people = np.concatenate([part.faces for part in parts], 1), np.concatenate([part.people for part in parts])
    recent = _recent(queries, collection_id, after.id)
    return Shadow(
        before=_side(catalog, before, _wide([part.old for part in parts]), faces[0], [pair.before for pair in recent]),
        after=_side(catalog, after, _wide([part.new for part in parts]), faces[1], [pair.after for pair in recent]),
        people=people,
        all_people=len(everybody),
        all_faces=sum(person.faces for person in everybody),
        epoch="" if at is None else at[0],
        sequence=0 if at is None else at[1],
        findings=findings,
        limits=limits,
        look=lambda numbers: _looked(catalog, store, numbers),
    )


def drawn(everybody: Sequence[Enrolled], most: int, seed: int) -> list[int]:
    """The people, by number and rising, whose faces together are at most *most*; drawn by lot where all are more."""
    if sum(person.faces for person in everybody) <= most:
        return [person.person_id for person in everybody]
    order = np.random.default_rng(seed).permutation(len(everybody))
    counts = np.array([everybody[place].faces for place in order.tolist()])
    count = max(int(np.searchsorted(np.cumsum(counts), most, "right")), 1)
    return sorted(everybody[place].person_id for place in order[:count].tolist())


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the faces, as arrays: the vectors still float16."""

    faces: NDArray[np.int64]
    people: NDArray[np.int64]
    old: NDArray[np.float16]
    new: NDArray[np.float16]

    @classmethod
    def none(cls, old: int, new: int) -> "_Part":
        """Nobody, under models of so many dimensions."""
        empty = np.empty((2, 0), np.int64)
        return cls(empty, empty[0], np.empty((0, old), np.float16), np.empty((0, new), np.float16))

    @classmethod
    def of(cls, rows: Sequence[PairRow]) -> "_Part":
        old, new = (np.frombuffer(b"".join(said), "<f2") for said in ((r.old for r in rows), (r.new for r in rows)))
        return cls(
            np.array([(row.before, row.after) for row in rows], np.int64).reshape(-1, 2).T,
            np.array([row.person_id for row in rows], np.int64),
            old.reshape(len(rows), -1),
            new.reshape(len(rows), -1),
        )


def _wide(parts: Sequence[NDArray[np.float16]]) -> Vectors:
    vectors = np.concatenate([part.astype(np.float32) for part in parts])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _side(
    catalog: Catalog, generation: Generation, vectors: Vectors, numbers: NDArray[np.int64], queries: Sequence[str]
) -> Side:
    with catalog.reading() as session:
        model = models.by_id(session, generation.model_id)
        detector = None if generation.detector_id is None else models.by_id(session, generation.detector_id).name
        fitted = calibrations.of(session, generation.id)
        held = comparisons.held(session, generation)
    return Side(
        generation=generation.id,
        model=model.public_id,
        name=model.name,
        digest=model.digest,
        dimension=vectors.shape[1],
        detector=detector or _BUILT_IN,
        thresholds=model.details.get("thresholds") or {},
        curves=None if fitted is None else fitted.curves,
        people=held.people,
        faces=held.faces,
        vectors=vectors,
        numbers=numbers,
        queries=vectors_of(queries, vectors.shape[1]),
    )


def _recent(queries: Queries, collection_id: int, generation_id: int) -> Sequence[Pair]:
    try:
        return queries(collection_id, generation_id)
    except BrokerUnavailable as error:  # They are an extra; the comparison is not worth waiting for them.
        logger().warning("comparison.without_queries", reason=error.type)
        return ()


def _looked(catalog: Catalog, store: Vault, numbers: Sequence[int]) -> dict[int, Seen]:
    with catalog.reading() as session:
        found = comparisons.looks(session, numbers)
    keys = sorted({look.chip_key for look in found.values() if look.chip_key is not None})
    there = dict(zip(keys, store.get_many(keys), strict=True))
    return {
        number: Seen(
            look.face_id, look.person_id, look.person, look.photo_id, _chip(look, there.get(look.chip_key or ""))
        )
        for number, look in found.items()
    }


def _chip(look: Look, jpeg: bytes | None) -> Chip | None:
    if jpeg is None or look.chip_map is None or look.landmarks is None:
        return None
    to_chip = np.array(look.chip_map, np.float64)
    return Chip(jpeg, to_chip, chips.mapped(to_chip, np.array(look.landmarks, np.float32)))
