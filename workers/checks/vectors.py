"""Embeddings against faces: every face has one in each generation, it is a vector, and it is what the model says of the chip.

What two processes compute of one chip in one variant agrees to a cosine of 0.9999 and better: vectors are stored in float16,
batches and threads change the last bits. So an altered chip or an exchanged vector shows, however little it is altered.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from services.catalog import collections, inventory, models
from services.catalog.inventory import ChipRow, SampledRow
from services.catalog.schema import Generation, Model
from services.errors import CannotStart, InvalidModel
from workers.checks import mending
from workers.checks.ledger import GONE, Ledger, Outcome, State
from workers.checks.mending import Place
from workers.faces.embed import Embedder
from workers.faces.values import Chip, Pixels
from workers.models.runtimes import Variant
from workers.serving.following import VECTOR

PART = "embeddings"
LEAST_COSINE = 0.9999
"""Between an embedding and what the same variant says of the chip now."""
LEAST_ACROSS = 0.98
"""Where the variant that made it cannot be computed here: int8 and fp32 agree to 0.9871 on the worst of 199 faces
(docs/models.md); of two people's faces hardly any two come to 0.7."""
MOST_OFF_NORM = 0.002
"""Float16 takes at most half of this off a vector's norm."""
_ROWS, _AT_ONCE = 2000, 64
_FOUND_ONLY = Outcome(State.LEFT)

_T = TypeVar("_T", ChipRow, tuple[ChipRow, bool])
_Vector = NDArray[np.float32]


def examine(place: Place, ledger: Ledger, *, sample: int | None, seed: int) -> None:
    """Look at every generation of a collection that is kept ready.

    Args:
        place: Where.
        ledger: Takes what is found.
        sample: So many faces of each are embedded anew; None: all.
        seed: By which they are drawn.

    Raises:
        Cancelled: Nobody wants the rest.
    """
    with place.catalog.reading() as session:
        ready = inventory.ready(session, place.collection_id)
        faces = collections.counts(session, place.collection_id)["faces"]
    compared = []
    for generation in ready:
        with place.catalog.reading() as session:
            model = models.by_id(session, generation.model_id)
        _proof(place, ledger, generation)
        numbers = _forms(place, ledger, generation, model, faces)
        drawn = numbers if sample is None else _drawn(numbers, sample, seed)
        compared.append({"model": model.name, **_Comparing(place, ledger, generation, model).all_of(drawn)})
    ledger.figures["compared"] = compared


def _proof(place: Place, ledger: Ledger, generation: Generation) -> None:
    """Name the faces for which a generation is not what it should be: too few embeddings, too many, faces left out."""
    for face in _named(place, inventory.left_out, generation):
        outcome = mending.carry_over(place, face.public_id, face.chip_key, generation) if place.repair else _FOUND_ONLY
        ledger.note("face_left_out", outcome, face=face.public_id)
    for face, allowed in _named(place, inventory.unembedded, generation):
        outcome = _from_chip(place, face, generation, None) if place.repair else _FOUND_ONLY
        if not allowed or outcome.state is State.MENDED:  # One that the rebuild may go on without is no problem.
            ledger.note("embedding_missing", outcome, face=face.public_id)
    for face in _named(place, inventory.embedded_boxes, generation):
        outcome = mending.bare(place, face.id, generation) if place.repair else _FOUND_ONLY
        ledger.note("embedding_extra", outcome, face=face.public_id)


def _named(place: Place, read: Callable[..., list[_T]], generation: Generation) -> Iterator[_T]:
    after = 0
    while True:
        with place.catalog.reading() as session:
            page = read(session, generation, after=after, limit=_ROWS)
        if not page:
            return
        for each in page:
            place.tell({"stage": PART})
            yield each
        last = page[-1]
        after = last.id if isinstance(last, ChipRow) else last[0].id


def _forms(place: Place, ledger: Ledger, generation: Generation, model: Model, faces: int) -> NDArray[np.int64]:
    """See that every stored vector is one. Returns the numbers of the faces."""
    numbers, after, done = [np.zeros(0, np.int64)], 0, 0
    while True:
        with place.catalog.reading() as session:
            page = inventory.vectors(session, generation, after=after, limit=_ROWS)
        if not page:
            return np.concatenate(numbers)
        after, done = page[-1].face_id, done + len(page)
        place.tell({"stage": "vectors", "model": model.name, "done": done, "total": max(faces, done)})
        ledger.looked_at["vectors"] += len(page)
        numbers.append(np.array([row.face_id for row in page], np.int64))
        odd = {row.face_id: row for row in page if not is_vector(row.vector, model.dimension)}
        with place.catalog.reading() as session:
            held = inventory.sampled(session, generation, list(odd))
        for row in held:
            outcome = _FOUND_ONLY
            if place.repair:
                face = ChipRow(row.face_id, row.public_id, row.chip_key)
                outcome = _from_chip(place, face, generation, odd[row.face_id].vector)
            ledger.note("embedding_malformed", outcome, face=row.public_id, model=model.public_id)


def is_vector(stored: bytes, dimension: int | None) -> bool:
    """Whether *stored* is a float16 vector of that length, finite and of norm 1."""
    if dimension is None or len(stored) != 2 * dimension:
        return False
    norm = float(np.linalg.norm(np.frombuffer(stored, VECTOR).astype(np.float64)))
    return abs(norm - 1.0) <= MOST_OFF_NORM  # Not so of NaN.


def _drawn(numbers: NDArray[np.int64], sample: int, seed: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(seed).choice(len(numbers), min(sample, len(numbers)), replace=False)
    return np.sort(numbers[drawn])


def _from_chip(place: Place, face: ChipRow, generation: Generation, seen: bytes | None) -> Outcome:
    """Embed a face anew from its chip; from the raw photo, where there is no chip that can be read."""
    [jpeg] = place.store.get_many([face.chip_key])
    if jpeg is None or mending.trouble_of(jpeg) is not None:
        return mending.chip(place, face.public_id, face.chip_key)
    with place.catalog.reading() as session:
        rows = inventory.sharing(session, place.collection_id, face.public_id, face.chip_key)
    if not rows:
        return GONE
    made = mending.chip_of(rows[0], jpeg)
    return mending.embed(place, face.public_id, face.chip_key, made, only=generation, seen=seen)


class _Comparing:
    """Faces of one generation embedded anew from their chips."""

    def __init__(self, place: Place, ledger: Ledger, generation: Generation, model: Model) -> None:
        self._place, self._ledger, self._generation, self._model = place, ledger, generation, model
        self._embedders: dict[str, Embedder | None] = {}
        self._least = 1.0

    def all_of(self, numbers: NDArray[np.int64]) -> dict[str, object]:
        """Compare; how many were, and the least cosine of those that are well."""
        done = 0
        for start in range(0, len(numbers), _AT_ONCE):
            self._place.tell({"stage": PART, "model": self._model.name, "done": start, "total": len(numbers)})
            with self._place.catalog.reading() as session:
                some = inventory.sampled(session, self._generation, numbers[start : start + _AT_ONCE].tolist())
            done += self._compare([row for row in some if is_vector(row.vector, self._model.dimension)])
        self._ledger.looked_at[PART] += done
        return {"faces": done, "least_cosine": round(self._least, 6) if done else None}

    def _compare(self, rows: Sequence[SampledRow]) -> int:
        """Look at some faces at once. Returns how many were compared."""
        by_variant: dict[str, list[tuple[SampledRow, Chip, Pixels]]] = {}
        jpegs = self._place.store.get_many([row.chip_key for row in rows], damaged=b"")
        for row, jpeg in zip(rows, jpegs, strict=True):
            chip = None if jpeg is None else mending.chip_of(row, jpeg)
            crop = None if chip is None else self._crop(row, chip)
            if chip is not None and crop is not None:
                by_variant.setdefault(row.variant, []).append((row, chip, crop))
        for variant, some in by_variant.items():
            embedder = self._embedder(variant)
            least = LEAST_COSINE if embedder.variant == variant else LEAST_ACROSS
            for (row, chip, crop), now in zip(some, embedder.embed([crop for *_, crop in some]), strict=True):
                cosine = float(now @ _vector(row.vector))
                if cosine < least and embedder.variant == variant:
                    cosine = max(cosine, self._by_other_ways(variant, row, crop))
                if cosine >= least:
                    self._least = min(self._least, cosine)
                else:
                    self._differs(row, chip, now, embedder, cosine)
        return sum(map(len, by_variant.values()))

    def _crop(self, row: SampledRow, chip: Chip) -> Pixels | None:
        """What the model sees of a chip. None: it cannot be read, which is noted and mended."""
        try:
            return self._embedder(row.variant).crop(chip)
        except mending.UNREADABLE as error:
            outcome = Outcome(State.LEFT, f"The chip cannot be read: {error}")
        if self._place.repair:
            outcome = mending.chip(self._place, row.public_id, row.chip_key)
        self._ledger.note("chip_damaged", outcome, face=row.public_id, object=row.chip_key)
        return None

    def _differs(self, row: SampledRow, chip: Chip, now: _Vector, embedder: Embedder, cosine: float) -> None:
        """Tell whether the chip or the embedding is at fault, by the raw photo, and mend that."""
        place, names = self._place, {"face": row.public_id, "model": self._model.public_id, "cosine": round(cosine, 6)}
        made = mending.recut(place, row.public_id, row.chip_key)
        if isinstance(made, Outcome):
            why = f"It cannot be told whether the chip or the embedding is wrong. {made.why}"
            self._ledger.note("embedding_wrong", GONE if made is GONE else Outcome(State.LEFT, why), **names)
            return
        [right] = embedder.embed([embedder.crop(made)])
        if float(right @ _vector(row.vector)) > float(right @ now):
            outcome = mending.chip(place, row.public_id, row.chip_key) if place.repair else _FOUND_ONLY
            self._ledger.note("chip_damaged", outcome, **names, object=row.chip_key)
            return
        outcome = _FOUND_ONLY
        if place.repair:
            outcome = mending.embed(place, row.public_id, row.chip_key, chip, only=self._generation, seen=row.vector)
        self._ledger.note("embedding_wrong", outcome, **names)

    def _embedder(self, variant: str) -> Embedder:
        """What computes that variant here, or the one that is computed here instead."""
        usual = self._place.models.embedder(self._model.digest)
        if usual.variant == variant:
            return usual
        if variant not in self._embedders:
            try:
                bundle = self._place.models.bundle(self._model.digest)
                self._embedders[variant] = bundle.embedder(cast("Variant", variant))
            except (InvalidModel, CannotStart):
                self._embedders[variant] = None
        return self._embedders[variant] or usual

    def _by_other_ways(self, variant: str, row: SampledRow, crop: Pixels) -> float:
        """The best cosine by the variant's other files: processors of another kind may have used one of them."""
        bundle = self._place.models.bundle(self._model.digest)
        ways = bundle.ways(cast("Variant", variant))
        others = [bundle.opened(cast("Variant", variant), file) for file in ways] if len(ways) > 1 else []
        return max((float(other.embed([crop])[0] @ _vector(row.vector)) for other in others), default=-1.0)


def _vector(stored: bytes) -> _Vector:
    vector = np.frombuffer(stored, VECTOR).astype(np.float32)
    unit: _Vector = vector / np.linalg.norm(vector)
    return unit
