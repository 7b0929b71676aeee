"""Whether the audit is whole: every entry hashed anew, and entries, chains and heads compared with each other.

A chain is walked by pages, so memory is bounded; a walk may stop between two entries and be gone on with. What is found is said
with chain, entry and what is wrong: ``changed``, ``gap``, ``inserted``, ``begin_missing``, ``tail_missing``, ``chain_missing``,
``head_changed``, ``head_missing``. That a chain has not ended is no damage: its gateway runs, or was killed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Text, cast, func, select, text, union
from sqlalchemy.orm import Session

from services.catalog.auditing.writing import BEGIN, NOTHING, Entry, link
from services.catalog.tables.audit import AuditChain, AuditEntry, AuditHead, AuditIntent

MOST_PROBLEMS = 100
"""Told one by one; the others are counted."""
_PAGE = 2000
_COLUMNS = (
    AuditEntry.sequence,
    AuditEntry.at,
    AuditEntry.key,
    AuditEntry.action,
    AuditEntry.collection,
    AuditEntry.object,
    AuditEntry.outcome,
    cast(AuditEntry.details, Text).label("details"),  # As text: what somebody has made of it need not be JSON.
    AuditEntry.hash,
)


class Place(NamedTuple):
    """Where a walk stopped: the last entry of *chain* that it has seen."""

    chain: str
    sequence: int


class Known(NamedTuple):
    """A head that was kept elsewhere."""

    chain: str
    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong."""

    chain: str
    sequence: int
    problem: str
    detail: str


@dataclass(slots=True)
class Findings:
    """What a walk has found."""

    chains: int = 0
    """Finished with."""
    entries: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first of them."""
    problem_count: int = 0
    not_ended: list[str] = field(default_factory=list)
    """Chains whose gateways run or were killed."""
    pruned: int = 0
    """Entries that were removed by age."""
    unfinished: int = 0
    """Changes under way, or of gateways that died meanwhile."""
    stopped_at: Place | None = None
    """Where to go on; None: all was seen."""

    def add(self, chain: str, sequence: int, problem: str, detail: str) -> None:
        """Note a problem."""
        self.problem_count += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(chain, sequence, problem, detail))


def verify(session: Session, *, after: Place | None = None, most: int | None = None) -> Findings:
    """Walk the chains from *after* on, *most* entries or all."""
    if (
        session.get_bind().dialect.name == "postgresql"
    ):  # One view of all, as a reading transaction of SQLite has anyway.
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    found = Findings(unfinished=session.scalar(select(func.count()).select_from(AuditIntent)) or 0)
    left = most
    for chain in _chains(session, after):
        begin_after = after.sequence if after is not None and after.chain == chain else None
        try:
            if not _Walk(session, chain, found).go(begin_after, left):
                return found
        except (TypeError, ValueError):  # SQLite keeps what it is given, whatever a column is for.
            found.add(chain, 0, "changed", "Something of this chain is not of the kind that it should be.")
        found.chains += 1
        left = None if most is None else max(most - found.entries, 0)
    return found


def compare(session: Session, heads: Sequence[Known]) -> list[Problem]:
    """Which of *heads* that were kept elsewhere the audit does not hold any more as they were."""
    found = []
    for known in heads:
        pruned = session.scalar(select(AuditChain.pruned).where(AuditChain.chain == known.chain))
        if pruned is None:
            found.append(Problem(known.chain, known.sequence, "chain_missing", "The chain of this head is gone."))
        elif known.sequence > pruned and _hash_at(session, known.chain, known.sequence) != known.hash:
            detail = "The audit does not hold the entry of this head, or another one in its place."
            found.append(Problem(known.chain, known.sequence, "head_changed", detail))
    return found


class _Walk:
    """One chain."""

    def __init__(self, session: Session, chain: str, found: Findings) -> None:
        self._session, self._chain, self._found = session, chain, found
        self._row = session.get(AuditChain, chain)

    def go(self, after: int | None, most: int | None) -> bool:
        """Walk it, from *after* on where it was begun before; False: *most* entries were seen, and there are more."""
        row = self._row
        if row is None:
            self._say(0, "begin_missing", "There are entries or heads of a chain that was never begun.")
            return True
        if after is None:
            self._begin(row)
        sequence = row.pruned if after is None else after
        before = self._hash_before(row, sequence)
        seen = 0
        while True:
            size = _PAGE if most is None else min(_PAGE, most - seen)
            if size <= 0 and sequence < row.sequence:
                self._found.stopped_at = Place(self._chain, sequence)
                return False
            page = self._page(sequence, row.sequence, size)
            if not page:
                break
            for one in page:
                before = self._entry(one, sequence, before)
                sequence = one.sequence
            seen += len(page)
            self._found.entries += len(page)
        if sequence < row.sequence:
            self._say(sequence + 1, "tail_missing", f"The chain had come to entry {row.sequence}.")
        elif before != row.hash:
            self._say(sequence, "changed", "The last entry is not the one that the chain had come to.")
        self._heads(row)
        return True

    def _begin(self, row: AuditChain) -> None:
        """What lies outside of what the chain says that it has."""
        entries = select(AuditEntry.sequence).where(AuditEntry.chain == self._chain)
        for sequence in self._session.scalars(entries.where(AuditEntry.sequence > row.sequence).limit(10)):
            self._say(sequence, "inserted", f"The chain has come to entry {row.sequence} only.")
        for sequence in self._session.scalars(entries.where(AuditEntry.sequence <= row.pruned).limit(10)):
            self._say(sequence, "inserted", f"Entries up to {row.pruned} are said to have been removed by age.")
        self._found.pruned += row.pruned
        if (row.pruned > 0) != (row.pruned_hash is not None):
            self._say(0, "changed", "The chain does not say well what of it was removed by age.")

    def _hash_before(self, row: AuditChain, sequence: int) -> bytes:
        if sequence == row.pruned:
            return row.pruned_hash or NOTHING
        return _hash_at(self._session, self._chain, sequence) or NOTHING

    def _page(self, after: int, last: int, size: int) -> Sequence[Any]:
        wanted = select(*_COLUMNS).where(
            AuditEntry.chain == self._chain, AuditEntry.sequence > after, AuditEntry.sequence <= last
        )
        return self._session.execute(wanted.order_by(AuditEntry.sequence).limit(size)).all()

    def _entry(self, one: Any, last: int, before: bytes) -> bytes:  # noqa: ANN401 - a row of _COLUMNS
        """Look at an entry that should follow entry *last*; its hash."""
        if one.sequence != last + 1:
            is_begin = last == 0
            missing = f"Entries {last + 1} to {one.sequence - 1} are missing."
            self._say(last + 1, "begin_missing" if is_begin else "gap", missing)
        elif self._linked(one, before) != one.hash:
            self._say(
                one.sequence, "changed", "This entry, or the one before it, is not what it was when it was written."
            )
        if one.sequence == 1 and one.action == BEGIN:
            self._others(one.details)
        return one.hash if isinstance(one.hash, bytes) else NOTHING

    def _linked(self, one: Any, before: bytes) -> bytes | None:  # noqa: ANN401
        try:
            details = None if one.details is None else json.loads(one.details)
            entry = Entry(one.at, one.key, one.action, one.collection, one.object, one.outcome, details)
            return link(before, self._chain, one.sequence, entry)
        except (TypeError, ValueError):
            return None

    def _others(self, details: str | None) -> None:
        """Whether the chains that stood beside this one when it was begun are still there."""
        try:
            others = [Known(chain, int(n), bytes.fromhex(h)) for chain, n, h in json.loads(details or "")["others"]]
        except (TypeError, ValueError, KeyError):
            return  # Its hash says that it was changed.
        for problem in compare(self._session, others):
            if problem.problem == "chain_missing":
                self._found.add(problem.chain, problem.sequence, problem.problem, f"{self._chain} began beside it.")
            else:
                self._found.add(problem.chain, problem.sequence, problem.problem, problem.detail)

    def _heads(self, row: AuditChain) -> None:
        """Whether the heads are all there, and say what the entries say."""
        number, kind, sequence = row.pruned_heads, "", row.pruned
        for head, hashed in self._each_head():
            at = head.sequence
            if head.number != number + 1:
                self._say(at, "head_missing", f"Heads {number + 1} to {head.number - 1} are missing.")
            fitting = head.kind == ("begun" if head.number == 1 else "anchored") or (
                head.kind == "ended" and head.number == row.heads and at == row.sequence
            )
            if not fitting or at < sequence or hashed != head.hash:
                self._say(at, "head_changed", f"Head {head.number} does not say what entry {at} says.")
            number, kind, sequence = head.number, head.kind, at
        if number != row.heads:
            self._say(row.sequence, "head_missing", f"The chain has {row.heads} heads; the last one here is {number}.")
        if kind != "ended" and row.pruned < row.sequence:
            self._found.not_ended.append(self._chain)

    def _each_head(self) -> Iterator[tuple[AuditHead, bytes | None]]:
        """The heads, each with the hash of the entry that it is of."""
        last = -(2**62)
        of_entry = (AuditEntry.chain == AuditHead.chain) & (AuditEntry.sequence == AuditHead.sequence)
        heads = select(AuditHead, AuditEntry.hash).outerjoin(AuditEntry, of_entry)
        while True:
            wanted = heads.where(AuditHead.chain == self._chain, AuditHead.number > last)
            page = self._session.execute(wanted.order_by(AuditHead.number).limit(_PAGE)).all()
            if not page:
                return
            for head, hashed in page:
                yield head, hashed
                last = head.number

    def _say(self, sequence: int, problem: str, detail: str) -> None:
        self._found.add(self._chain, sequence, problem, detail)


def _chains(session: Session, after: Place | None) -> Iterator[str]:
    """All chains of which there is anything, by name; that of *after* first."""
    last = after.chain if after is not None else ""
    if after is not None:
        yield last
    while True:
        least = [
            select(func.min(table.chain).label("chain")).where(table.chain > last)
            for table in (AuditChain, AuditEntry, AuditHead)
        ]
        chain: str | None = session.scalar(select(func.min(union(*least).subquery().c.chain)))
        if chain is None:
            return
        yield chain
        last = chain


def _hash_at(session: Session, chain: str, sequence: int) -> bytes | None:
    found = session.scalar(select(AuditEntry.hash).where(AuditEntry.chain == chain, AuditEntry.sequence == sequence))
    return None if found is None else bytes(found)
