"""What a photo's second look comes to: which of its rows continue, which are kept, what is new; and writing that."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from services.catalog import faces, log
from services.catalog.rebuilding import carrying, findings
from services.catalog.rebuilding.carrying import Vector
from services.catalog.schema import Embedding, Face, Photo
from services.catalog.tables.rebuild import Rebuild
from workers.faces.values import Detection
from workers.faces.values import Face as Cut

_WHOSE = ("person_id", "assigned_by", "created_at")


@dataclass(frozen=True, slots=True)
class Before:
    """The rows of a photo's faces as they were read, and what is to become of them in the round that is written."""

    rows: Sequence[Face]
    old: Sequence[Face]
    """Faces to be found again: rows of the active round, or copies of such that are in the new one already."""
    done: Sequence[Face]
    """Rows of the new round that a look has made or kept."""
    round: int
    """The one that is written."""

    @classmethod
    def of(cls, rows: Sequence[Face], active: int, round_: int, noted: set[str]) -> "Before":
        """Sort the rows of one photo.

        Args:
            rows: In all rounds.
            active: The round that is searched.
            round_: The one that is written.
            noted: Faces, by public id, that were looked for and kept on purpose.
        """
        there = {row.public_id: row for row in rows if row.round == round_}
        elsewhere = [row for row in rows if row.round != round_]
        copies = [row for row in there.values() if row.public_id not in noted and _is_copy(row, elsewhere)]
        missing = [row for row in elsewhere if row.round == active and row.public_id not in there]
        done = [row for row in there.values() if row not in copies]
        return cls(rows, [*copies, *missing], done, round_)

    def is_there(self, row: Face) -> bool:
        """Whether *row* is in the new round already, so that it is changed in its place."""
        return row.round == self.round

    def is_as(self, rows: Sequence[Face]) -> bool:
        """Whether *rows* are what was read, but for whose they are."""
        return {_looks(row) for row in rows} == {_looks(row) for row in self.rows}


@dataclass(frozen=True, slots=True)
class Whole:
    """A face that gets a chip of its own."""

    public_id: str
    chip_key: str
    cut: Cut
    old: Face | None
    """Whom it continues; None: it is new, and nobody's."""


@dataclass(slots=True)
class Seen:
    """What is to be written of one photo."""

    photo: Photo
    before: Before
    rule: str = ""
    trouble: str | None = None
    """Why it was not looked at: a kind of finding."""
    wholes: list[Whole] = field(default_factory=list)
    boxes: list[tuple[Face | None, Detection]] = field(default_factory=list)
    """Bystanders, and which row each continues."""
    kept: list[Face] = field(default_factory=list)
    """Faces that are kept as they were."""
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    """Of kept ones, by public id: the new faces that each may be."""


@dataclass(slots=True)
class Made:
    """Vectors by chip and model, and the chips there are none of."""

    vectors: dict[tuple[str, int], Vector] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    """Kind of finding by chip."""


@dataclass(slots=True)
class Written:
    """What is to be logged, and how many faces with a chip there are of it."""

    changes: list[log.Change] = field(default_factory=list)
    faces: int = 0


def write(session: Session, one: Seen, rows: Sequence[Face], models: Sequence[int], made: Made) -> Written:
    """Write one photo's faces into the new round.

    Args:
        session: A writing transaction.
        one: What was seen.
        rows: The photo's rows, locked, as they are now: whose each is, is taken from these.
        models: Numbers of the embedders that the round is live under.
        made: What they say.
    """
    locked = {row.id: row for row in rows}
    embedded: list[tuple[Face, str, Sequence[int]]] = []
    for whole in one.wholes:
        row = _row(session, one, None if whole.old is None else locked[whole.old.id], whole.public_id)
        if row.chip_key is not None:
            faces.drop_chip(session, row)
        _fill(row, whole, one.rule)
        every = {model for chip, model in made.vectors if chip == whole.chip_key}
        embedded.append((row, whole.chip_key, sorted(every)))
    for old, detection in one.boxes:
        row = _row(session, one, None if old is None else locked[old.id], None)
        box = detection.box
        row.rule, row.box, row.score = one.rule, [box.x, box.y, box.w, box.h], detection.score
    for old in one.kept:
        if not one.before.is_there(old):
            row = carrying.copied(locked[old.id], one.before.round)
            session.add(row)
            if row.chip_key is not None and row.chip_key not in made.lost:
                embedded.append((row, row.chip_key, models))
    session.flush()
    values = [
        {"face_id": row.id, "model_id": model, "vector": said.vector, "variant": said.variant}
        for row, chip, wanted in embedded
        for model in wanted
        if (said := made.vectors.get((chip, model))) is not None
    ]
    if values:
        session.execute(delete(Embedding).where(Embedding.face_id.in_({row.id for row, *_ in embedded})))
        session.execute(insert(Embedding), values)
    return Written([log.Change("add", row.id, row.person_id) for row, *_ in embedded], len(embedded))


def note(session: Session, rebuild: Rebuild, one: Seen, made: Made) -> None:
    """Note what could not simply be carried over."""
    photo = one.photo.public_id
    if one.trouble is not None:
        findings.note(session, rebuild, one.trouble, photo=photo, object_key=one.photo.object_key)
    for face in one.kept:
        if face.chip_key is None:
            continue
        if face.chip_key in made.lost:
            findings.note(
                session, rebuild, made.lost[face.chip_key], photo=photo, face=face.public_id, object_key=face.chip_key
            )
        if one.trouble is None:
            candidates = one.ambiguous.get(face.public_id, [])
            kind = findings.AMBIGUOUS if candidates else findings.KEPT
            findings.note(session, rebuild, kind, photo=photo, face=face.public_id, candidates=candidates)


def _row(session: Session, one: Seen, old: Face | None, public_id: str | None) -> Face:
    """The row of a face in the new round: its own where it is there, else a new one, of the person that *old* is of."""
    if old is not None and one.before.is_there(old):
        return old
    row = Face(
        public_id=public_id or (faces.new_public_id() if old is None else old.public_id),
        collection_id=one.photo.collection_id,
        photo_id=one.photo.id,
        round=one.before.round,
    )
    for name in _WHOSE if old is not None else ():
        setattr(row, name, getattr(old, name))
    session.add(row)
    return row


def _fill(row: Face, whole: Whole, rule: str) -> None:
    detection, box = whole.cut.detection, whole.cut.detection.box
    row.rule, row.box, row.score = rule, [box.x, box.y, box.w, box.h], detection.score
    row.landmarks, row.quality = detection.landmarks.tolist(), asdict(whole.cut.quality)
    row.chip_key, row.chip_map = whole.chip_key, whole.cut.chip.map.tolist()


def _is_copy(row: Face, elsewhere: Sequence[Face]) -> bool:
    """Whether a row is just what another round has of the same face: somebody wrote it for all rounds."""
    same = [other for other in elsewhere if other.public_id == row.public_id and other.chip_key == row.chip_key]
    return any(row.chip_key is not None or (other.box, other.rule) == (row.box, row.rule) for other in same)


def _looks(row: Face) -> tuple[object, ...]:
    return row.id, row.public_id, row.round, row.chip_key, row.rule, tuple(row.box)
