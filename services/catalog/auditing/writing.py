"""The audit as it is written: entries in chains, the heads of these, and changes that are under way.

An entry's hash is SHA-256 of the hash before it (32 zero bytes before the first) and of the entry's canonical bytes: a JSON
array of its columns in their order, keys sorted, without spaces, in UTF-8. Whoever holds a later hash can tell whether anything
before it was changed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import new_id, now
from services.catalog.tables.audit import AuditChain, AuditEntry, AuditHead, AuditIntent
from services.errors import ColegaError

NOTHING = bytes(32)
"""The hash before the first entry."""
DEAD_AFTER_S = 180.0
"""A chain whose process was not heard of for so long is taken for abandoned."""
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
BEGIN, PRUNE, UNFINISHED = "audit.begin", "audit.prune", 0
_OTHERS = 16
_ADOPTED_AT_ONCE = 500
_PRUNED_AT_ONCE = 20_000


# Once a group of requests, and so without what the session could do with rows.
_CHAINS = cast("Table", AuditChain.__table__)
_INSERT = cast("Table", AuditEntry.__table__).insert()
_MOVE = (
    _CHAINS.update()
    .where(_CHAINS.c.chain == bindparam("chain_"), _CHAINS.c.sequence == bindparam("sequence_"))
    .where(_CHAINS.c.hash == bindparam("hash_"), _CHAINS.c.heads == bindparam("heads_"))
)


class ChainBroken(ColegaError):
    """Somebody else has written to a chain, or changed how far it is; its process goes on with another one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was asked and how it went; *at* in seconds since 1970."""

    at: float
    key: str | None
    action: str
    collection: str | None = None
    object: str | None = None
    outcome: int = 200
    details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that is about to be made."""

    id: str
    at: float
    key: str | None
    action: str
    collection: str | None = None
    object: str | None = None


@dataclass(frozen=True, slots=True)
class Tip:
    """How far a chain is."""

    chain: str
    sequence: int = 0
    hash: bytes = NOTHING
    heads: int = 0


def canonical(chain: str, sequence: int, entry: Entry) -> bytes:
    """The bytes of an entry that are hashed."""
    columns = [chain, sequence, entry.at, entry.key, entry.action, entry.collection, entry.object]
    columns += [entry.outcome, entry.details]
    return _JSON.encode(columns).encode()


def link(before: bytes, chain: str, sequence: int, entry: Entry) -> bytes:
    """The hash of an entry that follows the one with the hash *before*."""
    return hashlib.sha256(before + canonical(chain, sequence, entry)).digest()


def begin(session: Session, at: float, name: str | None = None) -> Tip:
    """A new chain, called *name*, with its first entry, which names the others that were heard of last as they stand now."""
    others = select(AuditChain.chain, AuditChain.sequence, AuditChain.hash).order_by(AuditChain.seen_at.desc())
    known = [[one.chain, one.sequence, one.hash.hex()] for one in session.execute(others.limit(_OTHERS))]
    tip = Tip(name or new_id("chn"))
    session.execute(
        insert(AuditChain).values(chain=tip.chain, sequence=0, hash=NOTHING, heads=0, pruned=0, pruned_heads=0)
    )
    tip = append(session, tip, [Entry(at, None, BEGIN, details={"others": known})])
    return head(session, tip, "begun")


def append(session: Session, tip: Tip, entries: Sequence[Entry]) -> Tip:
    """Add *entries* (one or more) to a chain, in order; its new tip.

    Raises:
        ChainBroken: The chain does not stand where *tip* says.
    """
    rows, sequence, hashed = [], tip.sequence, tip.hash
    for entry in entries:
        sequence += 1
        hashed = link(hashed, tip.chain, sequence, entry)
        rows.append(
            {
                "chain": tip.chain,
                "sequence": sequence,
                "at": entry.at,
                "key": entry.key,
                "action": entry.action,
                "collection": entry.collection,
                "object": entry.object,
                "outcome": entry.outcome,
                "details": entry.details,
                "hash": hashed,
            }
        )
    moved = replace(tip, sequence=sequence, hash=hashed)
    _move(session, tip, moved)
    session.connection().execute(_INSERT, rows)
    return moved


def head(session: Session, tip: Tip, kind: str) -> Tip:
    """Write down how far a chain is: ``begun``, ``anchored`` or ``ended``.

    Raises:
        ChainBroken: As :func:`append`.
    """
    moved = replace(tip, heads=tip.heads + 1)
    _move(session, tip, moved)
    alive(session, tip)
    row = {"chain": tip.chain, "number": moved.heads, "sequence": tip.sequence, "hash": tip.hash, "kind": kind}
    session.execute(insert(AuditHead).values(row))
    return moved


def alive(session: Session, tip: Tip) -> None:
    """Say that the chain's process lives."""
    session.execute(update(AuditChain).where(AuditChain.chain == tip.chain).values(seen_at=now()))


def tip_of(session: Session, chain: str) -> Tip | None:
    """Where a chain stands by the catalog."""
    row = session.execute(
        select(AuditChain.chain, AuditChain.sequence, AuditChain.hash, AuditChain.heads).where(
            AuditChain.chain == chain
        )
    ).one_or_none()
    return None if row is None else Tip(row.chain, row.sequence, bytes(row.hash), row.heads)


def alone(session: Session, entry: Entry) -> None:
    """A chain of this one entry, with what it tells of: for what is done without a gateway."""
    head(session, append(session, begin(session, entry.at), [entry]), "ended")


def intend(session: Session, chain: str, intent: Intent) -> None:
    """Note, in the transaction of a change, that it is under way. Again is fine."""
    row = upsert(session, AuditIntent).values(
        id=intent.id,
        chain=chain,
        at=intent.at,
        key=intent.key,
        action=intent.action,
        collection=intent.collection,
        object=intent.object,
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["id"]))


def settle(session: Session, intents: Sequence[str]) -> None:
    """Forget intents whose entries are written now."""
    if intents:
        session.execute(delete(AuditIntent).where(AuditIntent.id.in_(intents)))


def adopt(session: Session, mine: str, *, dead_after_s: float = DEAD_AFTER_S) -> list[Entry]:
    """Take over the intents of chains whose processes are gone; the entries to write of them, outcome 0.

    They are removed here, so their entries belong in the same transaction.
    """
    living = select(AuditChain.chain).where(AuditChain.seen_at >= now() - dead_after_s)
    left = select(AuditIntent.id).where(AuditIntent.chain != mine, AuditIntent.chain.not_in(living))
    left = left.where(AuditIntent.at < now() - dead_after_s)  # A process's first change may come before its chain.
    taken = (
        delete(AuditIntent)
        .where(AuditIntent.id.in_(left.order_by(AuditIntent.at).limit(_ADOPTED_AT_ONCE)))
        .returning(AuditIntent)
    )
    found = sorted(session.scalars(taken).all(), key=lambda one: one.at)
    return [
        Entry(one.at, one.key, one.action, one.collection, one.object, UNFINISHED, {"unfinished_in": one.chain})
        for one in found
    ]


def prune(session: Session, older_than: float) -> dict[str, int]:
    """Remove entries from before *older_than*, some at once; up to which one, by chain. Empty: there was nothing left to remove.

    What remains still proves itself: the chain's row keeps the hash of the last one that is gone.
    """
    pruned: dict[str, int] = {}
    left = _PRUNED_AT_ONCE
    for chain in session.scalars(select(AuditEntry.chain).where(AuditEntry.at < older_than).distinct()).all():
        row = session.get(AuditChain, chain)
        if row is None or left <= 0:
            continue  # What has no row in the table of chains is damage, and stays to be seen.
        newer = select(func.min(AuditEntry.sequence)).where(AuditEntry.chain == chain, AuditEntry.at >= older_than)
        first_to_stay: int = session.scalar(newer) or row.sequence + 1
        last = min(first_to_stay - 1, row.pruned + left)
        hashed = session.scalar(select(AuditEntry.hash).where(AuditEntry.chain == chain, AuditEntry.sequence == last))
        if last <= row.pruned or hashed is None:
            continue
        gone = (AuditHead.chain == chain, AuditHead.sequence <= last)
        heads = session.scalar(select(func.max(AuditHead.number)).where(*gone)) or row.pruned_heads
        session.execute(delete(AuditHead).where(*gone))
        session.execute(delete(AuditEntry).where(AuditEntry.chain == chain, AuditEntry.sequence <= last))
        of_chain = update(AuditChain).where(AuditChain.chain == chain, AuditChain.pruned < last)
        session.execute(of_chain.values(pruned=last, pruned_hash=hashed, pruned_heads=heads))
        left -= last - row.pruned
        pruned[chain] = last
    return pruned


def _move(session: Session, tip: Tip, to: Tip) -> None:
    """Change the row of a chain that stands at *tip*."""
    stands = {"chain_": tip.chain, "sequence_": tip.sequence, "hash_": tip.hash, "heads_": tip.heads}
    moved = session.connection().execute(_MOVE, {**stands, "sequence": to.sequence, "hash": to.hash, "heads": to.heads})
    if moved.rowcount != 1:
        raise ChainBroken(f"The audit's chain {tip.chain} is not where it was left, at entry {tip.sequence}.")
