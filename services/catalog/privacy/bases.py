"""Bases: on what lawful basis people are in a collection, for what purpose, and which notice they were given.

A collection keeps its basis as one document: ``basis`` (a word of :data:`GROUNDS`), ``statement``, ``purpose``, ``notice`` (``text``,
``version``, ``since``), and ``notices``, every text that was in force, by version: whoever agreed to one agreed to that one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, now
from services.errors import BasisMissing, Conflict, InvalidRequest

CONSENT, OTHER = "consent", "other"


class Ground(NamedTuple):
    """What a word stands for."""

    article: str
    says: str
    is_enough: bool
    """It allows identification by biometric data; article 6 alone does not."""


GROUNDS: Mapping[str, Ground] = {
    CONSENT: Ground("6(1)(a), 9(2)(a)", "explicit consent of each person", True),
    "employment_law": Ground("6(1)(c), 9(2)(b)", "employment, social security or social protection law", True),
    "vital_interests": Ground("6(1)(d), 9(2)(c)", "vital interests of people who cannot consent", True),
    "legitimate_activities": Ground("9(2)(d)", "members of a body with a political, religious or union aim", True),
    "made_public": Ground("9(2)(e)", "data that the people have manifestly made public", True),
    "legal_claims": Ground("9(2)(f)", "legal claims, or courts acting as such", True),
    "substantial_public_interest": Ground("6(1)(e), 9(2)(g)", "substantial public interest, by law", True),
    "health_care": Ground("9(2)(h)", "occupational medicine or health care", True),
    "public_health": Ground("9(2)(i)", "public health, by law", True),
    "research": Ground("9(2)(j), 89(1)", "archives, research or statistics, by law", True),
    "contract": Ground("6(1)(b)", "a contract with the person", False),
    "legal_obligation": Ground("6(1)(c)", "a legal obligation", False),
    "public_task": Ground("6(1)(e)", "a task in the public interest", False),
    "legitimate_interests": Ground("6(1)(f)", "legitimate interests", False),
    OTHER: Ground("", "what the statement says", True),
}
"""Articles of the GDPR, by the word that is stored."""


def change(session: Session, collection: Collection, given: Mapping[str, Any] | None) -> None:
    """Write the basis of a collection: what is given replaces what was there; None takes it away.

    Args:
        session: A writing transaction.
        collection: Its row.
        given: ``basis``, ``statement``, ``purpose``, ``notice`` (``text`` and ``version``); what is left out is none.

    Raises:
        InvalidRequest: The basis is ``other`` and has no statement, or is consent and has no notice to agree to.
        Conflict: The version of the notice had another text.
    """
    if given is None:
        collection.basis = None
        session.flush()
        return
    before = collection.basis or {}
    notice, known = given.get("notice"), dict(before.get("notices", {}))
    if given["basis"] == OTHER and not given.get("statement"):
        raise InvalidRequest("basis: `other` needs a statement that says which.")
    if given["basis"] == CONSENT and notice is None:
        raise InvalidRequest("basis: consent needs a notice, with its text and version, that people agree to.")
    if notice is not None:
        version, text = notice["version"], notice["text"]
        if known.setdefault(version, text) != text:
            raise Conflict(
                f"Notice {version} had another text, and people may have agreed to that. Give it a new version."
            )
        old = before.get("notice") or {}
        since = old.get("since") if old.get("version") == version else session.scalar(select(now()))
        notice = {"version": version, "text": text, "since": since}
    collection.basis = {
        "basis": given["basis"],
        "statement": given.get("statement"),
        "purpose": given.get("purpose"),
        "notice": notice,
        "notices": known,
    }
    session.flush()


def of(collection: Collection) -> str | None:
    """The word of a collection's basis."""
    return None if collection.basis is None else str(collection.basis["basis"])


def is_consent(collection: Collection) -> bool:
    """Whether people are in a collection by their consent."""
    return of(collection) == CONSENT


def require(collection: Collection) -> None:
    """See that a collection says on what basis people are in it.

    Raises:
        BasisMissing: It does not.
    """
    if collection.basis is None:
        raise BasisMissing(collection.name)


def notice_of(collection: Collection, version: str | None) -> tuple[str, str]:
    """Version and text of the notice that is in force, or of the one of that *version*.

    Raises:
        InvalidRequest: There is none.
    """
    basis = collection.basis or {}
    if version is None and basis.get("notice"):
        return str(basis["notice"]["version"]), str(basis["notice"]["text"])
    notices = basis.get("notices", {})
    if version in notices:
        return str(version), str(notices[version])
    if version is None:
        raise InvalidRequest(f"Collection {collection.name} has no notice to agree to. Record one, or give the text.")
    there = ", ".join(notices) or "none"
    raise InvalidRequest(f"Collection {collection.name} has had no notice {version}; it has had {there}.")
