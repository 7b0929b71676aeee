"""Every error that colega raises on purpose, each with a stable problem type. Standard library only.

An error says what went wrong, with which file or value, and what to do next. It becomes HTTP in one place
(``services.gateway.problems``) and an exit code in one place (``services.cli.main``).

    ColegaError
    ├── Refused                 the caller can mend it: 4xx, exit code 2
    │   ├── PhotoRefused        one photo cannot be used; carries a Rejection
    │   ├── NotFound            no such collection, person, photo, face, job, model or key
    │   └── …
    └── Unavailable             something that this request needs is missing: 503, exit code 3
"""

from typing import ClassVar

from services.rejections import Rejection


class ColegaError(Exception):
    """The root. ``str(error)`` is a sentence for the person who has to act on it."""

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong inside colega"
    status: ClassVar[int] = 500


class Refused(ColegaError):
    """The request cannot be fulfilled as it stands; the caller can mend it."""

    type, title, status = "refused", "The request was refused", 400


class Unavailable(ColegaError):
    """Something that this request needs does not answer; the same request may succeed later."""

    type, title, status = "unavailable", "A part of the service does not answer", 503

    def __init__(self, detail: str, *, retry_after_s: int = 2) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


# --- photos ---------------------------------------------------------------------------------------------------------

_PHOTO_STATUS = {
    Rejection.TOO_LARGE: 413,
    Rejection.TOO_MANY_PIXELS: 413,
    Rejection.UNSUPPORTED_FORMAT: 415,
    Rejection.NOT_AN_IMAGE: 415,
}


class PhotoRefused(Refused):
    """One photo cannot be used. ``reason`` is the stable string that an import reports for it."""

    type, title, status = "photo-refused", "The photo cannot be used", 422

    def __init__(self, reason: Rejection, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.status = _PHOTO_STATUS.get(reason, 422)  # type: ignore[misc]
        self.type = f"photo-{reason.value.replace('_', '-')}"  # type: ignore[misc]


# --- arrays and models ----------------------------------------------------------------------------------------------


class DegenerateBox(Refused):
    """A box has a side of less than one pixel, so nothing can be cut from it."""

    type, title, status = "degenerate-box", "The box is too small", 422


class DimensionMismatch(Refused):
    """A vector has another dimension than the index or model it was given to."""

    type, title, status = "dimension-mismatch", "The vector has another dimension", 422


class InvalidVector(Refused):
    """A vector is not finite or not of norm 1."""

    type, title, status = "invalid-vector", "The vector cannot be used", 422


class InvalidModel(Refused):
    """A model file is damaged, of another kind, or not what its description says."""

    type, title, status = "invalid-model", "The model cannot be used", 422


class InvalidTraining(Refused):
    """The faces at hand cannot be trained on: too few people, or nobody with two photos."""

    type, title, status = "invalid-training", "Nothing can be learnt from these faces", 422


class TrainingDiverged(Refused):
    """The loss of a training is no finite number any more; the last checkpoint stays."""

    type, title, status = "training-diverged", "The training came to numbers that are not finite", 422


class ModelTooLarge(Refused):
    """A model file is larger than is taken."""

    type, title, status = "model-too-large", "The model file is too large", 413


class LicenceNotAccepted(Refused):
    """A model's licence is not plainly permissive, and nobody has accepted it yet."""

    type, title, status = "licence-not-accepted", "The licence must be accepted first", 409


# --- things that are not there ---------------------------------------------------------------------------------------


class NotFound(Refused):
    """There is nothing of that id in this collection."""

    type, title, status = "not-found", "Not found", 404

    def __init__(self, kind: str, which: object) -> None:
        super().__init__(f"There is no {kind} {which}.")
        self.kind = kind


class MissingObject(NotFound):
    """The photo store has no object of that name."""

    type, title, status = "missing-object", "The file is missing from the photo store", 404

    def __init__(self, key: str) -> None:
        super().__init__("object", key)
        self.key = key


class DamagedObject(ColegaError):
    """An object of the photo store is not as it was sealed: changed, cut short, exchanged with another."""

    type, title, status = "damaged-object", "A file in the photo store is damaged", 500

    def __init__(self, key: str) -> None:
        super().__init__(
            f"{key} in the photo store cannot be opened: it was changed or cut short, or is another's. Restore it from a backup; "
            "colega check --repair makes chips and thumbnails again."
        )
        self.key = key


class Conflict(Refused):
    """The request contradicts what is there."""

    type, title, status = "conflict", "The request contradicts the present state", 409


class BasisMissing(Refused):
    """A lawful basis is required, and the collection says none."""

    type, title, status = "basis-missing", "No lawful basis is recorded", 409

    def __init__(self, collection: str) -> None:
        super().__init__(
            f"Collection {collection} says on no lawful basis people are enrolled in it, and this installation requires one. "
            f"Record it first: colega collections set {collection} --basis …, or PATCH /v1/collections/{collection}."
        )


class ConsentMissing(Refused):
    """The basis of a collection is consent, and that of a person is not recorded."""

    type, title, status = "consent-missing", "No consent is recorded", 409


class ChangedMeanwhile(Refused):
    """Somebody else has changed what the request was made from (``If-Match``)."""

    type, title, status = "changed-meanwhile", "It was changed meanwhile", 412


class Cancelled(Refused):
    """Somebody has cancelled what was under way."""

    type, title, status = "cancelled", "It was cancelled", 409


# --- requests --------------------------------------------------------------------------------------------------------


class InvalidRequest(Refused):
    """A field is missing, unknown or out of range."""

    type, title, status = "invalid-request", "The request is not valid", 422


class Unauthorized(Refused):
    """No key, or one that is unknown, revoked or expired."""

    type, title, status = "unauthorized", "A valid API key is needed", 401


class Forbidden(Refused):
    """The key is known and may not do this."""

    type, title, status = "forbidden", "The key may not do this", 403


class TooManyRequests(Unavailable):
    """More is asked at once than is admitted."""

    type, title, status = "too-many-requests", "Too many requests at once", 503


class RateExceeded(Unavailable):
    """More was asked of late than one key, or one address, may ask."""

    type, title, status = "rate-exceeded", "Too many requests in a short time", 429


class TooSlow(Refused):
    """The body of the request came too slowly."""

    type, title, status = "too-slow", "The request came too slowly", 408


# --- parts of the service --------------------------------------------------------------------------------------------


class CatalogUnavailable(Unavailable):
    """The catalog does not answer, is locked, or its disk is full."""

    type, title, status = "catalog-unavailable", "The catalog does not answer", 503


class AuditUnavailable(Unavailable):
    """What was asked would have to be written to the audit first, and the catalog cannot be written; nothing was done."""

    type, title, status = "audit-unavailable", "The audit cannot be written", 503


class PhotoStoreUnavailable(Unavailable):
    """The photo store does not answer or cannot write."""

    type, title, status = "photo-store-unavailable", "The photo store does not answer", 503


class WrappingKeyMissing(Unavailable):
    """What was asked for is sealed under a wrapping key that this process was not given."""

    type, title, status = "wrapping-key-missing", "A wrapping key is missing", 503


class BackupDamaged(Refused):
    """A backup is not there, is not as it was written, or comes from a newer version."""

    type, title, status = "backup-damaged", "The backup cannot be used", 422


class BackupUnavailable(Unavailable):
    """The place where backups are cannot be read or written."""

    type, title, status = "backup-unavailable", "The place of the backups does not answer", 503


class BrokerUnavailable(Unavailable):
    """The broker does not answer."""

    type, title, status = "broker-unavailable", "The broker does not answer", 503


class WorkersBusy(Unavailable):
    """No worker or searcher answered before the deadline."""

    type, title, status = "no-answer-in-time", "No answer before the deadline", 503


class IndexBehind(Unavailable):
    """The replica had not reached the sequence number that ``after`` asks for before the deadline."""

    type, title, status = "index-behind", "The index is not there yet", 503


class IndexUnavailable(Unavailable):
    """The index cannot be loaded, or the Milvus that holds it does not answer."""

    type, title, status = "index-unavailable", "The index is not available", 503


class DiskFull(Unavailable):
    """There is no room for what was to be written; nothing of it was kept, and what was there before stays."""

    type, title, status = "disk-full", "The disk is full", 503


class DeviceFull(Unavailable):
    """The GPU has no memory for one photo or one face, because other processes fill it."""

    type, title, status = "device-full", "The GPU is full", 503

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The GPU has no memory left for a single one of the {what}. Stop what else fills it, or raise "
            "COLEGA_DEVICE_MEMORY_MB."
        )


# --- starting --------------------------------------------------------------------------------------------------------


class InvalidSettings(Refused):
    """A ``COLEGA_`` setting is unknown or has no usable value."""

    type, title, status = "invalid-settings", "A setting cannot be used", 400


class BadCertificate(Refused):
    """A certificate or key for TLS is missing, unreadable or expired, or the two do not belong together."""

    type, title, status = "bad-certificate", "The certificate cannot be used", 400


class CannotStart(ColegaError):
    """A process or the whole service cannot start here; the sentence says what stands in the way."""

    type, title, status = "cannot-start", "colega cannot start", 500
