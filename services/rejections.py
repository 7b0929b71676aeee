"""Why photos are rejected: a value of each item of an import, and what a refused photo carries. Standard library only."""

from collections.abc import Mapping
from enum import StrEnum


class Rejection(StrEnum):
    """Why an item of an import was rejected. The strings are part of the interface."""

    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LARGE = "too_large"
    TOO_SMALL = "too_small"
    EMPTY = "empty"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    FACE_TOO_SMALL = "face_too_small"
    LOW_QUALITY = "low_quality"
    OTHER_PERSON = "other_person"
    PERSON_ERASED = "person_erased"
    CRASHED_WORKER = "crashed_worker"
    MISSING_FILE = "missing_file"
    MISSING_OBJECT = "missing_object"
    NOT_LISTED = "not_listed"
    HIDDEN_OR_SYSTEM_FILE = "hidden_or_system_file"
    INVALID_NAME = "invalid_name"
    UNSAFE_PATH = "unsafe_path"
    ENCRYPTED = "encrypted"
    BAD_ARCHIVE = "bad_archive"
    TOO_MANY_ENTRIES = "too_many_entries"
    DISK_FULL = "disk_full"
    NO_BASIS = "no_basis"
    NO_CONSENT = "no_consent"
    EXPIRED = "expired"


REJECTIONS: Mapping[Rejection, str] = {
    Rejection.NOT_AN_IMAGE: "The file is no picture, whatever its name says.",
    Rejection.UNSUPPORTED_FORMAT: "A picture in a format that is not taken: send JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP or TIFF.",
    Rejection.TRUNCATED: "The file is cut short or damaged: copy it again from where it came.",
    Rejection.TOO_MANY_PIXELS: "The picture has more pixels than COLEGA_MAX_PIXELS: scale it down first.",
    Rejection.TOO_LARGE: "The file is larger than COLEGA_MAX_UPLOAD_MB: scale the picture down first.",
    Rejection.TOO_SMALL: "A side of the picture has under 20 pixels.",
    Rejection.EMPTY: "The file has no bytes.",
    Rejection.NO_FACE: "No face was found, upright or turned.",
    Rejection.SEVERAL_FACES: "Several faces were found and --faces reject was asked for.",
    Rejection.FACE_TOO_SMALL: "The face has too few pixels to be recognised by: use a closer photo.",
    Rejection.LOW_QUALITY: "The face is too blurred, dark or turned away to be recognised by.",
    Rejection.OTHER_PERSON: "The same photo was imported for somebody else; it stays theirs.",
    Rejection.PERSON_ERASED: "The person or photo was erased while the photo was being worked on.",
    Rejection.CRASHED_WORKER: "The photo brought down its worker three times, alone each time.",
    Rejection.MISSING_FILE: "The manifest names a file that is not there.",
    Rejection.MISSING_OBJECT: "The photo's bytes are not in the photo store, or were deleted before they were worked on.",
    Rejection.NOT_LISTED: "The manifest does not name this file.",
    Rejection.HIDDEN_OR_SYSTEM_FILE: "A hidden file, or one that an operating system leaves behind.",
    Rejection.INVALID_NAME: "No person's name can be made of it: empty, too long, or with control characters.",
    Rejection.UNSAFE_PATH: "The name leads out of the archive, is a link, or is no plain file.",
    Rejection.ENCRYPTED: "The archive's entry needs a password.",
    Rejection.BAD_ARCHIVE: "The archive or this entry of it is damaged.",
    Rejection.TOO_MANY_ENTRIES: "The archive has more entries than COLEGA_MAX_ARCHIVE_ENTRIES.",
    Rejection.DISK_FULL: "There was no room to keep the photo: free some and import again.",
    Rejection.NO_BASIS: "The collection says no lawful basis, and one is required here: colega collections set NAME --basis …",
    Rejection.NO_CONSENT: "The basis is consent, and the person's is not recorded: give consent_given_at with it, or in a manifest.",
    Rejection.EXPIRED: "The day until which the person may be kept is over.",
}
"""What each reason means and what to do about it."""
