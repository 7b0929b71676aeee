"""The audit: who did what, and whether what is written of it is whole."""

from collections.abc import Sequence
from typing import Annotated, Any

from flask.typing import ResponseReturnValue
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from services.catalog.auditing import reading as audit_read
from services.catalog.auditing import verifying as audit_verify
from services.catalog.tables.audit import AuditEntry
from services.errors import AuditUnavailable, Forbidden, InvalidRequest
from services.gateway.answers import time_of
from services.gateway.doors import MayBeLeftOut, Resource, Taken, gateway, key
from services.gateway.paging import cursor_of, page_of, place_after

_MOST_AT_ONCE = 50_000
"""Entries looked at by one request: a second or two of computing."""
_CHAIN = r"^chn_[0-9a-f]{24}$"

_Chain = Annotated[str, StringConstraints(max_length=32, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, Field(ge=0, lt=2**63)]
_PLACE = TypeAdapter(tuple[Annotated[float, Field(allow_inf_nan=False)], _Chain, _Number])
_STOPPED = TypeAdapter(tuple[_Chain, _Number])

Text = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")]

resource = Resource("audit", "Who did what")


class AuditPage(Taken):
    """Which entries."""

    collection: str | None = Field(
        default=None, max_length=64, description="About this one only; else all that the key may see."
    )
    action: Text | None = Field(default=None, description="One, such as `person.erase`, or a kind: `person`.")
    object: Text | None = Field(default=None, description="Public id of what it was done to.")
    person: str | None = Field(
        default=None,
        max_length=64,
        description="Id of a person it was done to, or of whom it tells: searches that named them.",
    )
    key: Text | None = Field(default=None, description="Id of the key that did it.")
    since: AwareDatetime | None = Field(default=None, description="From then on; with an offset from UTC.")
    until: AwareDatetime | None = Field(default=None, description="Before then.")
    order: audit_read.Order = Field(default="newest", description="The latest or the oldest first.")
    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=1024, description="`next_cursor` of the page before.")


class AuditEntryOut(BaseModel):
    """Something that was asked, and how it went."""

    chain: str
    sequence: int
    at: str
    key: str | None = Field(description="Id of the key; null: none that was valid.")
    action: str
    collection: str | None
    object: str | None = Field(description="Id of what it was done to.")
    outcome: int = Field(description="Status of the answer; 0: the gateway died before it could say.")
    details: dict[str, Any] | None = Field(description="Counts and ids.")
    hash: str = Field(description="SHA-256 of the hash before and of this entry, in hex (docs/audit.md).")


class AuditOut(BaseModel):
    """Entries."""

    items: list[AuditEntryOut]
    next_cursor: str | None


class HeadIn(Taken):
    """A head that was kept elsewhere, such as in the logs."""

    chain: str = Field(pattern=_CHAIN)
    sequence: int = Field(ge=1, lt=2**63)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class VerifyIn(MayBeLeftOut):
    """What to compare with, and where to go on."""

    heads: list[HeadIn] = Field(
        default_factory=list, max_length=1000, description="Lines `audit.anchored` of the logs."
    )
    heads_only: bool = Field(default=False, description="Compare with `heads` and look at nothing else.")
    cursor: str | None = Field(default=None, max_length=1024, description="`next_cursor` of the answer before.")


class ProblemOut(BaseModel):
    """Something that is wrong."""

    chain: str
    sequence: int
    problem: str = Field(
        description="`changed`, `gap`, `inserted`, `begin_missing`, `tail_missing`, `chain_missing`, `head_changed` or "
        "`head_missing`."
    )
    detail: str


class VerifiedOut(BaseModel):
    """What was found; an audit is whole when the last answer, the one without `next_cursor`, has come and none has problems."""

    sound: bool = Field(description="Whether nothing is wrong with what this request has looked at.")
    chains: int
    entries: int
    pruned: int = Field(description="Entries that were removed by age, as the settings say.")
    unfinished: int = Field(description="Changes under way, or of gateways that died meanwhile.")
    not_ended: list[str] = Field(description="Chains whose gateways run, or were killed. That is no damage.")
    problem_count: int
    problems: list[ProblemOut] = Field(description="The first hundred.")
    next_cursor: str | None = Field(description="Where to go on; null: all was seen.")


@resource.door("get", "/audit", "admin", responses={200: AuditOut})
def index(query: AuditPage) -> ResponseReturnValue:
    """Who did what, the latest first. A key that is limited to collections sees what was done in them."""
    after = place_of_cursor(query.cursor)
    wanted = audit_read.Wanted(
        collections=_visible(query.collection),
        action=query.action,
        object=query.object,
        person=query.person,
        key=query.key,
        since=None if query.since is None else query.since.timestamp(),
        until=None if query.until is None else query.until.timestamp(),
    )
    gateway().auditor.flush()
    with gateway().catalog.reading() as session:
        rows = audit_read.page(
            session, wanted, limit=query.limit + 1, after=after, oldest_first=query.order == "oldest"
        )
    entries = [(told(row), audit_read.place_of(row)) for row in rows[: query.limit]]
    return page_of(entries, more=len(rows) > query.limit)


@resource.door("post", "/audit/verify", "admin", responses={200: VerifiedOut})
def check(body: VerifyIn) -> ResponseReturnValue:
    """Hash every entry anew, and compare entries, chains, heads, and heads that were kept elsewhere; some at once."""
    if key().collections is not None:
        raise Forbidden("The audit is verified as a whole; this key is limited to collections.")
    if not gateway().auditor.flush():
        raise AuditUnavailable("The last entries are not written yet. Try again in a moment.")
    with gateway().catalog.reading() as session:
        found = audit_verify.Findings()
        if not body.heads_only:
            found = audit_verify.verify(session, after=_stopped_at(body.cursor), most=_MOST_AT_ONCE)
        heads = [audit_verify.Known(one.chain, one.sequence, bytes.fromhex(one.hash)) for one in body.heads]
        differing = audit_verify.compare(session, heads)
    problems = [*found.problems, *differing][: audit_verify.MOST_PROBLEMS]
    count = found.problem_count + len(differing)
    return {
        "sound": not count,
        "chains": found.chains,
        "entries": found.entries,
        "pruned": found.pruned,
        "unfinished": found.unfinished,
        "not_ended": found.not_ended,
        "problem_count": count,
        "problems": [
            {"chain": one.chain, "sequence": one.sequence, "problem": one.problem, "detail": one.detail}
            for one in problems
        ],
        "next_cursor": None if found.stopped_at is None else cursor_of(found.stopped_at),
    }


def _visible(asked: str | None) -> Sequence[str] | None:
    """The collections whose entries the request is about; None: all, and what belongs to none.

    A key that is limited to others has been refused before, as everywhere.
    """
    allowed = key().collections
    if asked is not None:
        return [asked]
    return allowed


def told(entry: AuditEntry) -> dict[str, Any]:
    """See :class:`AuditEntryOut`."""
    return {
        "chain": entry.chain,
        "sequence": entry.sequence,
        "at": time_of(entry.at),
        "key": entry.key,
        "action": entry.action,
        "collection": entry.collection,
        "object": entry.object,
        "outcome": entry.outcome,
        "details": entry.details,
        "hash": entry.hash.hex(),
    }


def place_of_cursor(cursor: str | None) -> audit_read.Place | None:
    """The place in a list that a cursor names; None for the beginning.

    Raises:
        InvalidRequest: It is none of ours.
    """
    found = _read(_PLACE, cursor)
    return None if found is None else audit_read.Place(*found)


def _stopped_at(cursor: str | None) -> audit_verify.Place | None:
    found = _read(_STOPPED, cursor)
    return None if found is None else audit_verify.Place(*found)


def _read(kind: TypeAdapter[Any], cursor: str | None) -> Any:  # noqa: ANN401 - what *kind* reads
    place = place_after(cursor)
    try:
        return None if place is None else kind.validate_python(place)
    except ValidationError:
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.") from None
