"""Privacy: what an impact assessment needs to know of a collection, as far as colega knows it."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from flask import Response
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog.privacy import bases, consents
from services.catalog.privacy import counts as privacy
from services.catalog.schema import ApiKey, Collection
from services.catalog.sealed import unsealed
from services.gateway.answers import time_of
from services.gateway.collections import basis_out, retention_out
from services.gateway.doors import Gateway, InCollection, Resource, collection_of, gateway, key
from services.gateway.modelling import reports_written
from services.gateway.privacy import words as privacy_words

_FORMATS = {"json": "application/json", "text": "text/plain", "md": "text/markdown", "html": "text/html"}
_NO_SCRIPTS = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

resource = Resource("privacy", "What an impact assessment needs")


class Asked(InCollection):
    """How the report is written."""

    format: Literal["json", "text", "md", "html"] = Field(default="json", description="JSON, or to be read.")


class PrivacyOut(BaseModel):
    """What colega knows of a collection that an impact assessment needs, and what it cannot know."""

    collection: str
    written_at: str
    purpose: dict[str, Any]
    categories: list[str]
    counts: dict[str, Any]
    places: list[dict[str, Any]]
    recipients: dict[str, Any]
    transfers: str
    retention: dict[str, Any]
    erasures: dict[str, Any]
    audit: dict[str, Any]
    accuracy: dict[str, Any]
    presentation_attacks: str
    automated_decisions: str
    warnings: list[str]
    to_be_added: list[str]


_READ: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in _FORMATS.values() if kind != _FORMATS["json"]}
_ANSWER = {
    "description": "The report",
    "content": {_FORMATS["json"]: {"schema": PrivacyOut.model_json_schema()}, **_READ},
}


@resource.door("get", "/privacy/report", "manage", responses={200: _ANSWER})
def report(query: Asked) -> ResponseReturnValue:
    """What an impact assessment (GDPR article 35) needs: basis, categories, counts, places, recipients, retention, accuracy.

    It ends with what the controller has to add by hand.
    """
    with gateway().catalog.reading() as session:
        told = told_of(session, gateway(), collection_of(session, query.collection))
    if query.format == "json":
        return told
    written = reports_written.of(told, query.format)
    response = Response(written, content_type=f"{_FORMATS[query.format]}; charset=utf-8")
    if query.format == "html":
        response.headers["Content-Security-Policy"] = _NO_SCRIPTS
    return response


def told_of(session: Session, mine: Gateway, collection: Collection) -> dict[str, Any]:
    """See :class:`PrivacyOut`."""
    held, erased = privacy.held(session, collection), privacy.erased(session, collection)
    due = retention_out(session, collection)
    basis = basis_out(collection)
    keys = [each for each in privacy.keys(session) if each.collections is None or collection.name in each.collections]
    asking = None if key().collections is None else [collection.name]
    lacking = consents.lacking(session, collection) if bases.is_consent(collection) else None
    told = {
        "collection": collection.name,
        "written_at": time_of(privacy.moment(session)),
        "purpose": {
            "purpose": None if basis is None else basis["purpose"],
            "basis": None if basis is None else basis["basis"],
            "ground": None if basis is None else _ground(basis["basis"]),
            "statement": None if basis is None else basis["statement"],
            "notice": None if basis is None else basis["notice"],
            "required": mine.require_basis,
        },
        "categories": privacy_words.CATEGORIES,
        "counts": {
            **{field: value for field, value in held._asdict().items() if field != "oldest_person_at"},
            "oldest_person_at": time_of(held.oldest_person_at),
            "past_their_end": due["due"],
            "without_consent": lacking,
        },
        "places": _places(session, mine),
        "recipients": {
            "keys": [_key(each, asking) for each in keys],
            "webhooks": [
                {"to": urlsplit(hook.url).netloc, "events": hook.events}
                for hook in privacy.webhooks(session, collection)
            ],
        },
        "transfers": privacy_words.TRANSFERS,
        "retention": {"days": collection.retention_days, **due, "query_photos": privacy_words.QUERIES},
        "erasures": erased._asdict(),
        "audit": {
            "on": mine.auditing.audit,
            "days": mine.auditing.audit_days or None,
            "verified_at": time_of(privacy.audited(session, "audit.verify")),
        },
        "accuracy": _accuracy(session, collection),
        "presentation_attacks": privacy_words.ATTACKS,
        "automated_decisions": privacy_words.DECISIONS,
        "to_be_added": privacy_words.TO_BE_ADDED,
    }
    return told | {"warnings": _warnings(told)}


def _ground(word: str) -> dict[str, Any]:
    ground = bases.GROUNDS[word]
    return {"articles": ground.article, "says": ground.says, "allows_biometrics": ground.is_enough}


def _places(session: Session, mine: Gateway) -> list[dict[str, Any]]:
    sealed = mine.store.wrapping is not None and not unsealed(session)
    backup = privacy.last_backup(session)
    last = None if backup is None else time_of(backup.finished_at)
    return [
        {
            "place": "catalog",
            "encrypted": False,
            **privacy_words.PLACES["catalog"],
            "backend": mine.catalog.url.get_backend_name(),
        },
        {"place": "photo store", "encrypted": sealed, **privacy_words.PLACES["photo store"]},
        {"place": "index", "encrypted": False, **privacy_words.PLACES["index"]},
        {"place": "broker", "encrypted": False, **privacy_words.PLACES["broker"]},
        {"place": "logs", "encrypted": False, **privacy_words.PLACES["logs"]},
        {"place": "backups", "encrypted": sealed, **privacy_words.PLACES["backups"], "last_at": last},
    ]


def _key(of: ApiKey, mine: list[str] | None) -> dict[str, Any]:
    """A key that may ask; to one that is limited to collections nothing is told of others."""
    return {
        "id": of.public_id,
        "name": of.name,
        "scopes": of.scopes,
        "collections": of.collections if mine is None else mine,
        "expires_at": time_of(of.expires_at),
        "used_at": time_of(of.used_at),
    }


def _accuracy(session: Session, collection: Collection) -> dict[str, Any]:
    """Of the last evaluation of this collection: differences between groups, where it was told who belongs to which."""
    model, last = privacy.model_of(session, collection), privacy.evaluation(session, collection)
    told: dict[str, Any] = {"model": None if model is None else model.name, "evaluated_at": None, "groups": []}
    if last is None:
        return told
    found: list[dict[str, Any]] = []
    for figures in last.figures.get("models", [last.figures]):
        found += [_differences(column) for column in figures.get("groups") or []]
    return told | {"evaluated_at": time_of(last.created_at), "groups": found}


def _differences(column: dict[str, Any]) -> dict[str, Any]:
    """How far groups are apart at one threshold."""
    rows: Sequence[dict[str, Any]] = column["groups"]
    fnmr = {row["group"]: 1.0 - row["tmr"] for row in rows if row.get("tmr") is not None}
    fmr = {row["group"]: row["fmr"] for row in rows if row.get("fmr") is not None}
    return {
        "column": column["column"],
        "at_fmr": column["at_fmr"],
        "fnmr": fnmr,
        "fmr": fmr,
        "fnmr_apart": max(fnmr.values()) - min(fnmr.values()) if len(fnmr) > 1 else None,
        "fmr_ratio": max(fmr.values()) / min(fmr.values()) if len(fmr) > 1 and min(fmr.values()) > 0 else None,
    }


def _warnings(told: dict[str, Any]) -> list[str]:
    """What is amiss, as far as can be seen from here."""
    purpose, due, counts, overdue = told["purpose"], told["retention"], told["counts"], told["erasures"]["overdue"]
    is_plain = not next(place["encrypted"] for place in told["places"] if place["place"] == "photo store")
    is_enough = purpose["ground"] is None or purpose["ground"]["allows_biometrics"]
    found = [
        (purpose["basis"] is None, "No lawful basis is recorded: colega collections set."),
        (not is_enough, privacy_words.ARTICLE_6_ALONE),
        (purpose["basis"] == bases.CONSENT, privacy_words.CONSENT_AT_WORK),
        (counts["without_consent"], f"The consent of {counts['without_consent']} people is not on record."),
        (due["held"], f"{due['held']} people are due to be erased and held back until somebody confirms it."),
        (due["days"] is None and not counts["with_an_end"], "Nobody's time ends by itself: no retention is set."),
        (overdue, f"{overdue} erasures are overdue: their receipts say why."),
        (not told["audit"]["on"], "The audit is off: COLEGA_AUDIT."),
        (is_plain, "Photos lie unsealed in the store: colega sealing show."),
        (not told["accuracy"]["groups"], privacy_words.NO_GROUPS),
    ]
    return [sentence for is_so, sentence in found if is_so]
