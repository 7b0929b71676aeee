"""Lawful: what must be recorded before somebody is enrolled, where the installation asks for it; and how requests tell of it."""

from typing import Any

from pydantic import Field
from sqlalchemy.orm import Session

from services import moments
from services.catalog.erasing import retention
from services.catalog.privacy import bases, consents
from services.catalog.privacy.consents import LONGEST_NOTICE, Given
from services.catalog.schema import Collection, Person
from services.errors import InvalidRequest
from services.gateway.answers import time_of
from services.gateway.doors import Taken, gateway

Moment = Field(default=None, max_length=40)


class Terms(Taken):
    """On what terms somebody is enrolled."""

    consent_given_at: str | None = Field(
        default=None, max_length=40, description="They have agreed, then: a day, or a time with its offset from UTC."
    )
    consent_notice: str | None = Field(
        default=None,
        max_length=64,
        description="Version of the collection's notice that they agreed to; else the present one.",
    )
    expires_at: str | None = Field(
        default=None,
        max_length=40,
        description="When they are erased of themselves: a day (its end), or a time with its offset.",
    )


class ConsentIn(Taken):
    """A consent."""

    given_at: str | None = Field(default=None, max_length=40, description="A day, or a time with its offset; else now.")
    notice: str | None = Field(default=None, max_length=64, description="Version of the notice; else the present one.")
    text: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_NOTICE,
        description="The text, where the collection does not have it.",
    )


def consent_of(given_at: str | None, notice: str | None) -> Given | None:
    """The consent that a request tells of; None: of none.

    Raises:
        InvalidRequest: The moment is none, or a notice is named and no moment.
    """
    if not given_at:
        if notice:
            raise InvalidRequest("consent_notice: give consent_given_at, too.")
        return None
    return Given(moments.begin(given_at, "consent_given_at"), notice or None)


def end_of(session: Session, expires_at: str | None) -> float | None:
    """When somebody is to be erased.

    Raises:
        InvalidRequest: It is no moment, or past.
    """
    if not expires_at:
        return None
    moment = moments.end(expires_at, "expires_at")
    if retention.is_over(session, moment):
        raise InvalidRequest("expires_at is past: they would be erased at once.")
    return moment


def require(session: Session, collection: Collection, person: Person | None, given: Given | None = None) -> None:
    """See that *person* may be enrolled; None is a newcomer, *given* the consent that the request brings along.

    Raises:
        BasisMissing, ConsentMissing: A basis is required, and is not recorded.
    """
    if not gateway().require_basis:
        return
    if given is not None:
        bases.require(collection)
    else:
        consents.require(session, collection, person)


def told(session: Session, collection: Collection, person: Person) -> dict[str, Any]:
    """What is recorded of a person: the consent given last, and when their time is over."""
    consent = consents.latest(session, person)
    return {
        "consent": None
        if consent is None
        else {
            "given_at": time_of(consent.given_at),
            "notice": consent.notice_version,
            "recorded_by": consent.recorded_by,
            "recorded_at": time_of(consent.recorded_at),
        },
        "ends_at": time_of(retention.ends_at(collection, person)),
    }
