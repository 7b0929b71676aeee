"""Labels: whom a photo is said to show, and whether they may be enrolled at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from services import moments
from services.catalog import people
from services.catalog.erasing import retention
from services.catalog.importing.source_files import Seen
from services.catalog.privacy import bases, consents
from services.catalog.privacy.consents import Given
from services.catalog.schema import Collection, Job, Person
from services.errors import BasisMissing, ConsentMissing, InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources.layouts import Shown


@dataclass(frozen=True, slots=True)
class Label:
    """Whom a photo is said to show: a person that is there, or one to be found or made by name or external id."""

    name: str | None = None
    external_id: str | None = None
    person_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    consent: Given | None = None
    expires_at: float | None = None
    seen: Seen | None = None
    """The file of a source that it is, where that is brought in step."""

    @classmethod
    def of(cls, shown: Shown) -> "Label":
        """What a source says.

        Raises:
            PhotoRefused: Its day of consent, or of the end, is none.
        """
        try:
            at = moments.begin(shown.consent_given_at, "consent_given_at") if shown.consent_given_at else None
            end = moments.end(shown.expires_at, "expires_at") if shown.expires_at else None
        except InvalidRequest as invalid:
            raise PhotoRefused(Rejection.INVALID_NAME, str(invalid)) from None
        given = None if at is None else Given(at, shown.consent_notice)
        return cls(shown.person, shown.external_id, None, shown.attributes, given, end)

    def known(self, session: Session, collection_id: int) -> Person | None:
        """The person's row, where there is one.

        Raises:
            NotFound: There is no person of that id.
            InvalidRequest: The name cannot be a name.
        """
        if self.person_id is not None:
            return people.by_public_id(session, collection_id, self.person_id)
        return people.find(session, collection_id, self.name or self.external_id or "", self.external_id)

    def person(self, session: Session, collection_id: int) -> Person:
        """The person's row.

        Raises:
            NotFound: There is no person of that id.
            InvalidRequest: The name cannot be a name.
        """
        if self.person_id is not None:
            return people.by_public_id(session, collection_id, self.person_id)
        return people.ensure(
            session, collection_id, self.name or self.external_id or "", self.external_id, self.attributes
        )


def enrolled(session: Session, job: Job, label: Label | None, *, require_basis: bool) -> Person | None:
    """Whom a photo shows, made where there was nobody yet, with what is said of their consent and their end.

    Raises:
        PhotoRefused: They may not be enrolled.
        InvalidRequest: The name cannot be a name.
    """
    collection = session.get_one(Collection, job.collection_id)
    if require_basis:
        _require(session, collection, label)
    if label is None:
        return None
    if label.expires_at is not None and retention.is_over(session, label.expires_at):
        raise PhotoRefused(Rejection.EXPIRED, "The day until which the person may be kept is over.")
    if label.consent is not None:
        try:
            consents.check(session, collection, label.consent)
        except InvalidRequest as invalid:
            raise PhotoRefused(Rejection.NO_CONSENT, str(invalid)) from None
    person = label.person(session, collection.id)
    if label.consent is not None:
        consents.record(session, person, label.consent, by=job.asked_by or "")
    if label.expires_at is not None:
        person.expires_at = label.expires_at
    return person


def _require(session: Session, collection: Collection, label: Label | None) -> None:
    try:
        if label is None or label.consent is not None:
            bases.require(collection)
        else:
            consents.require(session, collection, label.known(session, collection.id))
    except BasisMissing as missing:
        raise PhotoRefused(Rejection.NO_BASIS, str(missing)) from None
    except ConsentMissing as missing:
        raise PhotoRefused(Rejection.NO_CONSENT, str(missing)) from None
