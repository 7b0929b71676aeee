"""Why something was rejected or refused, and what to do about it, in the language of the request.

For templates ``reasons.of_rejection("no_face").title``; for scripts ``{% include "_reasons.html" %}`` and ``js/reasons.js``.
"""

from dataclasses import asdict, dataclass
from http import HTTPStatus

from services.gateway.console.language import gettext as _
from services.rejections import Rejection


@dataclass(frozen=True, slots=True)
class Explained:
    """One thing that can go wrong."""

    title: str
    """What it is, in a few words without a full stop."""
    advice: str
    """What to do next: a sentence or two."""

    def __str__(self) -> str:
        return f"{self.title}. {self.advice}"


def of_rejection(reason: str | None) -> Explained:
    """Why an item of an import was rejected. A reason of a later version explains itself by its name."""
    fallback = Explained((reason or "").replace("_", " ").capitalize(), _("Use another photo."))
    return rejections().get(reason or "", fallback)


def of_problem(kind: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> Explained:
    """Why a request was refused or failed: by its problem type, with or without ``/problems/``; else by its *status*."""
    name = kind.rpartition("/")[2]
    if name.startswith("photo-") and (found := rejections().get(name.removeprefix("photo-").replace("-", "_"))):
        return found
    known = problems()
    return known.get(name) or known["internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused"]


def for_scripts() -> dict[str, dict[str, dict[str, str]]]:
    """All of them, as ``js/reasons.js`` reads them."""
    return {
        "rejections": {name: asdict(one) for name, one in rejections().items()},
        "problems": {name: asdict(one) for name, one in problems().items()},
    }


def rejections() -> dict[str, Explained]:
    """Every reason of :class:`services.rejections.Rejection`."""
    closer = _("Use a photo taken from closer, or one with more pixels.")
    again = _("The file is cut short or damaged. Copy it again from where it came.")
    return {
        Rejection.NOT_AN_IMAGE: Explained(
            _("Not a picture"), _("The file is no picture, whatever its name says. Choose the photo itself.")
        ),
        Rejection.UNSUPPORTED_FORMAT: Explained(
            _("Format not taken"), _("Save it as JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF.")
        ),
        Rejection.TRUNCATED: Explained(_("Damaged file"), again),
        Rejection.TOO_MANY_PIXELS: Explained(
            _("Too many pixels"), _("Scale the picture down first, or raise COLEGA_MAX_PIXELS.")
        ),
        Rejection.TOO_LARGE: Explained(
            _("File too large"),
            _(
                "Scale the picture down first, or split the archive. COLEGA_MAX_UPLOAD_MB and COLEGA_MAX_ARCHIVE_MB limit it."
            ),
        ),
        Rejection.TOO_SMALL: Explained(
            _("Picture too small"), _("A side has under 20 pixels. Use a picture with more of them.")
        ),
        Rejection.EMPTY: Explained(_("Empty file"), _("The file has no bytes. Copy it again from where it came.")),
        Rejection.NO_FACE: Explained(
            _("No face found"), _("Use a photo in which the face is whole, well lit and not too far away.")
        ),
        Rejection.SEVERAL_FACES: Explained(
            _("Several faces"), _("Choose the right face by hand, or crop the photo to the one person.")
        ),
        Rejection.FACE_TOO_SMALL: Explained(_("Face too small"), closer),
        Rejection.LOW_QUALITY: Explained(
            _("Face not clear enough"),
            _("The face is too blurred, dark or turned away. Use a sharper photo from the front."),
        ),
        Rejection.OTHER_PERSON: Explained(
            _("Belongs to somebody else"),
            _(
                "The same photo was imported for another person and stays theirs. If that was wrong, delete it there first."
            ),
        ),
        Rejection.PERSON_ERASED: Explained(
            _("Erased meanwhile"),
            _("The person or photo was erased while the photo was being worked on. Import it again if that was wrong."),
        ),
        Rejection.CRASHED_WORKER: Explained(
            _("Could not be worked on"),
            _("The photo brought its worker down three times. Save it anew with an image editor and import that."),
        ),
        Rejection.MISSING_FILE: Explained(
            _("File not there"),
            _("The manifest names a file that is not there. Add the file, or take its line out."),
        ),
        Rejection.MISSING_OBJECT: Explained(
            _("Photo not kept any more"), _("Its bytes are not in the photo store. Import it again.")
        ),
        Rejection.NOT_LISTED: Explained(_("Not in the manifest"), _("Add a line for the file to the manifest.")),
        Rejection.HIDDEN_OR_SYSTEM_FILE: Explained(
            _("Hidden or system file"), _("Nothing needs to be done: operating systems leave such files behind.")
        ),
        Rejection.INVALID_NAME: Explained(
            _("Unusable name"),
            _("It is empty, too long, or has control characters. Rename the folder or the file."),
        ),
        Rejection.UNSAFE_PATH: Explained(
            _("Unsafe path"),
            _("The name leads out of the archive, is a link, or is no plain file. Pack the photos themselves."),
        ),
        Rejection.ENCRYPTED: Explained(_("Password needed"), _("Pack the archive without a password.")),
        Rejection.BAD_ARCHIVE: Explained(
            _("Damaged archive"), _("Pack the archive again, or unpack it and import the folder.")
        ),
        Rejection.TOO_MANY_ENTRIES: Explained(
            _("Too many entries"), _("Split the archive, or raise COLEGA_MAX_ARCHIVE_ENTRIES.")
        ),
        Rejection.DISK_FULL: Explained(
            _("No room left"), _("Free some space where the service keeps its photos, and import again.")
        ),
        Rejection.NO_BASIS: Explained(_("No lawful basis is recorded"), _("Record it under People, Basis and notice.")),
        Rejection.NO_CONSENT: Explained(
            _("No consent is recorded"),
            _(
                "Here people are enrolled by their consent. Record it, then add the photo again; for many at once a manifest "
                "has the column consent_given_at."
            ),
        ),
        Rejection.EXPIRED: Explained(
            _("Their time is over"),
            _("The day until which they may be kept is past. Give another one, if that is right."),
        ),
    }


def problems() -> dict[str, Explained]:
    """Every problem type of :mod:`services.errors` and of HTTP itself; those of photos are in :func:`rejections`."""
    wait = _("Wait a moment and try again. The page Status says how the parts of the service do.")
    model = _("Choose another file: a model as `colega models` describes it.")
    enrol = _("Enrol more people, with two photos or more each, and start it again.")
    ask = _("Ask whoever runs the service to look at its log.")
    changed = _("Load the page again: something has changed meanwhile. Then repeat what you did.")
    return {
        "internal": Explained(_("Something went wrong inside colega"), ask),
        "refused": Explained(_("The request was refused"), _("Check what was entered and try again.")),
        "photo-refused": Explained(_("The photo cannot be used"), _("Use another photo.")),
        "degenerate-box": Explained(_("The box is too small"), _("Choose a larger one, or use a larger photo.")),
        "dimension-mismatch": Explained(
            _("The vector has another dimension"), _("Use vectors of the model that is active.")
        ),
        "invalid-vector": Explained(
            _("The vector cannot be used"), _("Use vectors of norm 1, of the model that is active.")
        ),
        "invalid-model": Explained(_("The model cannot be used"), model),
        "invalid-training": Explained(_("Nothing can be learnt from these faces"), enrol),
        "training-diverged": Explained(
            _("The training came to numbers that are not finite"),
            _("Start it again with a lower learning rate."),
        ),
        "model-too-large": Explained(_("The model file is too large"), model),
        "licence-not-accepted": Explained(
            _("The licence must be accepted first"),
            _("Read the model's licence and accept it, then activate the model."),
        ),
        "not-found": Explained(
            _("Not found"), _("It was deleted, or is in another collection. Go back to the list and load it again.")
        ),
        "missing-object": Explained(
            _("The file is missing from the photo store"),
            _("Import the photo again. `colega check` finds what is missing."),
        ),
        "damaged-object": Explained(
            _("A file in the photo store is damaged"),
            _("It is not shown. `colega check --repair` mends what can be mended; photos come back from a backup."),
        ),
        "conflict": Explained(_("The request contradicts the present state"), changed),
        "basis-missing": Explained(_("No lawful basis is recorded"), _("Record it under People, Basis and notice.")),
        "consent-missing": Explained(
            _("No consent is recorded"),
            _("Enrolling takes their consent. Tick that they have agreed, or record it on their page, then try again."),
        ),
        "changed-meanwhile": Explained(_("It was changed meanwhile"), changed),
        "cancelled": Explained(_("It was cancelled"), _("Start it again if that was wrong.")),
        "invalid-request": Explained(
            _("The request is not valid"),
            _("A value is missing or out of range. Check what was entered and try again."),
        ),
        "unauthorized": Explained(_("A valid API key is needed"), _("Sign in again.")),
        "forbidden": Explained(
            _("The key may not do this"), _("Load the page again, or sign in with a key that has the scope for it.")
        ),
        "invalid-settings": Explained(_("A setting cannot be used"), ask),
        "unavailable": Explained(_("A part of the service does not answer"), wait),
        "too-many-requests": Explained(_("Too many requests at once"), _("Wait a few seconds and try again.")),
        "rate-exceeded": Explained(
            _("Too many requests in a short time"), _("Wait a minute. If it comes again, ask for a key of your own.")
        ),
        "too-slow": Explained(
            _("The request came too slowly"),
            _("Try again over a faster line, or send fewer or smaller photos at once."),
        ),
        "audit-unavailable": Explained(_("The audit cannot be written"), wait),
        "backup-damaged": Explained(_("The backup cannot be used"), ask),
        "backup-unavailable": Explained(_("The place of the backups does not answer"), wait),
        "catalog-unavailable": Explained(_("The catalog does not answer"), wait),
        "photo-store-unavailable": Explained(_("The photo store does not answer"), wait),
        "wrapping-key-missing": Explained(
            _("A wrapping key is missing"), _("Ask whoever runs the service to give it the key again.")
        ),
        "broker-unavailable": Explained(_("The broker does not answer"), wait),
        "no-answer-in-time": Explained(_("No answer before the deadline"), wait),
        "index-behind": Explained(
            _("The index is not there yet"), _("What was changed last is findable in a moment. Try again then.")
        ),
        "index-unavailable": Explained(_("The index is not available"), wait),
        "disk-full": Explained(
            _("The disk is full"),
            _("Nothing was lost. Free some space where the service keeps its data, and try again."),
        ),
        "device-full": Explained(_("The GPU is full"), _("Stop what else fills it, or raise COLEGA_DEVICE_MEMORY_MB.")),
        "bad-certificate": Explained(_("The certificate cannot be used"), ask),
        "cannot-start": Explained(_("colega cannot start"), ask),
        "no-such-path": Explained(_("There is nothing at this path"), _("Use the links at the top of the page.")),
        "method-not-allowed": Explained(_("This path does not take that method"), changed),
        "unsupported-media-type": Explained(
            _("The body is of a type that is not taken here"), _("Choose another file.")
        ),
        "bad-request": Explained(_("The request was refused"), _("Check what was entered and try again.")),
    }
