"""Auditing of requests: what is asked of the gateway becomes an entry, and the answer waits until it is written.

The rule, for a catalog that cannot be written: a *look* is not answered (503), since nobody would know of it. A *change* is
noted as under way in its own transaction, so either both are in the catalog or neither; once it is made the answer tells so,
and its entry follows in order when the catalog is back, or is written by another gateway when this one has died. What would be
audited is refused before anything is done as long as entries cannot be written.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from flask import Flask, Response, current_app, g, has_request_context, request
from sqlalchemy.orm import Session

from services.catalog.auditing.writing import Entry, Intent
from services.catalog.schema import Person, new_id
from services.errors import AuditUnavailable
from services.gateway.auditing.audited import ACTIONS, CAMERA, Action, Kind
from services.gateway.auditing.auditor import Auditor
from services.gateway.auditing.counted import MOST_PEOPLE, Sight
from services.gateway.doors import gateway

_PUBLIC_ID = re.compile(r"[a-z]{2,8}_[0-9a-f]{24}", re.ASCII)
"""What may be written of a path that somebody asks for: an id as ours are, and nothing that could be a name."""


@dataclass(slots=True)
class Note:
    """What an endpoint says about what it does, beyond its name."""

    action: str | None = None
    object: str | None = None
    key: str | None = None
    collection: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    is_frame: bool = False
    """Whether it is one of many of a camera."""
    sight: Sight = field(default_factory=Sight)
    """What a camera's entry counts of it."""


def register(app: Flask) -> None:
    """Have the requests of *app* audited. To be called where its answers are finished and before they can be remembered."""
    mine = app.extensions["colega"]
    mine.catalog.beside = _beside
    app.before_request(_admit)
    app.after_request(_finish)


def note(
    *,
    action: str | None = None,
    object_: str | None = None,
    key: str | None = None,
    collection: str | None = None,
    **details: object,
) -> None:
    """Say what the audit is to tell of this request: ids and counts."""
    of = _note()
    of.action, of.object, of.key = action or of.action, object_ or of.object, key or of.key
    of.collection = collection or of.collection
    of.details |= details


def note_found(rows: Sequence[Mapping[str, Any]], threshold: float | None = None, *, is_frame: bool = False) -> None:
    """Say who was found: ids of those who were recognised, and of those who were listed as the nearest besides."""
    of = _note()
    named = {m["person"]["id"]: None for row in rows for m in row["matches"] if m["accepted"]}
    nearest = {m["person"]["id"]: None for row in rows for m in row["matches"] if m["person"]["id"] not in named}
    of.is_frame, of.sight = is_frame, Sight(searches=1, faces=len(rows), people=list(named))
    of.details |= {"faces": len(rows)} | ({} if threshold is None else {"threshold": round(threshold, 6)})
    for word, people in (("named", list(named)), ("nearest", list(nearest))):
        if people:
            of.details[word] = people[:MOST_PEOPLE]
        if len(people) > MOST_PEOPLE:
            of.details[f"{word}_in_all"] = len(people)


def note_people(found: Iterable[Person], **details: object) -> None:
    """Say whom it was done to; called again, further ones."""
    of = _note()
    known = of.details.get("people", [] if of.object is None else [of.object])
    everybody = list(dict.fromkeys([*known, *(person.public_id for person in found)]))
    of.object = everybody[0] if len(everybody) == 1 else None
    of.details |= details | ({"people": everybody[:MOST_PEOPLE]} if len(everybody) > 1 else {})


def some(ids: Iterable[str | None]) -> list[str]:
    """The first of *ids*, as many as one entry names."""
    return list(islice((one for one in ids if one is not None), MOST_PEOPLE))


def note_match(person: str) -> None:
    """Say that a camera's program has recognised somebody."""
    of = _note()
    of.is_frame, of.sight = True, Sight(matches=1, people=[person])


def _note() -> Note:
    if "audit_note" not in g:
        g.audit_note = Note()
    noted: Note = g.audit_note
    return noted


def _action() -> Action | None:
    """How the request is audited; None: it is not."""
    if not gateway().auditor.is_on or request.method == "OPTIONS":
        return None
    if request.endpoint == "console.sign_in" and request.method != "POST":
        return None
    return ACTIONS.get(request.endpoint or "")


def _admit() -> None:
    """Refuse what would be audited while it cannot be, and have the transactions of a change say that it is under way."""
    action = _action()
    if action is None:
        return
    gateway().auditor.ready()
    g.audit_changes = action.kind is Kind.CHANGE and request.endpoint != "live.match"


def _beside(session: Session) -> Callable[[], None] | None:
    """Called at the end of each transaction of this process's catalog, before it is committed; afterwards what it returns."""
    if not has_request_context() or not g.get("audit_changes") or "audit_intent" in g:
        return None
    action = ACTIONS[request.endpoint or ""]
    of = _note()
    intent = Intent(new_id("int"), _now(), _key(of), of.action or action.word, _where(of), of.object or _asked_for())
    gateway().auditor.intend(session, intent)
    return lambda: setattr(g, "audit_intent", intent.id)


def _finish(response: Response) -> Response:
    """Write down how the request went before its answer goes out."""
    action = _action()
    if action is None:
        return response
    auditor, of, status = gateway().auditor, _note(), response.status_code
    word = "session.failed" if action.word == "session.begin" and status >= 400 else of.action or action.word
    key, intent = _key(of), g.get("audit_intent")
    g.audit_changes = False
    if (status >= 400 or key is None) and intent is None:  # A page sends who is not signed in elsewhere.
        if key is None or not _is_counted(auditor, key, of, Sight(refused=1)):
            auditor.refuse(Entry(_now(), key, word, _where(of), of.object or _asked_for(), status, of.details or None))
        return response
    if of.is_frame and key is not None:
        written = auditor.watch(key, _where(of), CAMERA, _now(), of.sight)
    else:
        details = (_told_in_json() | of.details) or None
        entry = Entry(_now(), key, word, _where(of), of.object or _made(response, action), status, details)
        written = auditor.write(entry, settles=() if intent is None else (intent,))
    if written or intent is not None:
        return response
    response.close()
    refusal = AuditUnavailable("What was asked could not be written down, so it is not told. Try again in a moment.")
    return current_app.make_response(current_app.handle_user_exception(refusal))


def _is_counted(auditor: Auditor, key: str, of: Note, sight: Sight) -> bool:
    """Whether a camera is being counted that this belongs to."""
    if request.endpoint != "live.match" and request.args.get("mode") != "frame":
        return False
    return auditor.is_watched(key, _where(of), CAMERA) and auditor.watch(key, _where(of), CAMERA, _now(), sight)


def _told_in_json() -> dict[str, Any]:
    """The ids that the request's JSON names, and which fields a change gives: never what they hold."""
    if not request.is_json or request.blueprint == "compreface":  # CompreFace's clients may send fields of any name.
        return {}
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return {}
    told: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, str) and _PUBLIC_ID.fullmatch(value):
            told[name] = value
        elif isinstance(value, list):
            ids = [one for one in value if isinstance(one, str) and _PUBLIC_ID.fullmatch(one)]
            told |= {name: ids[:MOST_PEOPLE]} if ids else {}
    if request.method == "PATCH":
        told["fields"] = sorted(body)
    return told


def _key(of: Note) -> str | None:
    shown = g.get("key")
    return of.key if shown is None else shown.public_id


def _where(of: Note) -> str | None:
    """The collection that it was about, if there is one of that name."""
    found: str | None = of.collection or g.get("audited_collection")
    return found


def _asked_for() -> str | None:
    """The id in the path, where it looks like one of ours."""
    for value in (request.view_args or {}).values():
        if isinstance(value, str) and _PUBLIC_ID.fullmatch(value):
            return value
    return None


def _made(response: Response, action: Action) -> str | None:
    """The id in the path, or that of what was made."""
    asked = _asked_for()
    if asked is not None or action.made is None or not response.is_json:
        return asked
    made = response.get_json().get(action.made)
    return made if isinstance(made, str) and _PUBLIC_ID.fullmatch(made) else None


def _now() -> float:
    return round(time.time(), 3)
