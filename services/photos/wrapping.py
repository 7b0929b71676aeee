"""Wrapping: keys of objects, sealed by a wrapping key that is kept elsewhere. What the catalog holds of keys is this.

A wrapped key is a version, which wrapping key (the first 8 bytes of its SHA-256), a nonce, and the key under AES-256-GCM,
authenticated with what it is for, so that one cannot stand in for another. Rotation wraps anew and touches no object.
"""

import base64
import binascii
import hashlib
import os
import re
import secrets
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from services.errors import InvalidSettings, WrappingKeyMissing
from services.photos.sealing import KEY_BYTES

ID_AT, ID_BYTES = 1, 8
"""Where in a wrapped key it stands which wrapping key it is under."""

_VERSION = b"\x01"
_NONCE_AT = ID_AT + ID_BYTES
_NONCE_BYTES = 12
_SETTING = "COLEGA_WRAPPING_KEYS"


class Wrapping:
    """The wrapping keys of a process: all of them unwrap, the newest wraps. Safe to share between threads."""

    def __init__(self, keys: list[bytes]) -> None:
        assert keys
        assert all(len(key) == KEY_BYTES for key in keys)
        self._ciphers = {id_of(key): AESGCM(key) for key in keys}
        self.newest = id_of(keys[0])
        """The id of the key that wraps."""

    @classmethod
    def of(cls, setting: SecretStr | None) -> Self | None:
        """The keys of the setting, newest first; None where there are none.

        Raises:
            InvalidSettings: One of them is not 256 bits in base64, or stands there twice.
        """
        given = re.split(r"[\s,]+", "" if setting is None else setting.get_secret_value().strip())
        keys = [_decoded(text) for text in given if text]
        if len(set(keys)) < len(keys):
            raise InvalidSettings(f"{_SETTING} has a key twice. Leave one of the two out.")
        return cls(keys) if keys else None

    @property
    def ids(self) -> list[str]:
        """The ids of all keys, newest first, in hexadecimal."""
        return [each.hex() for each in self._ciphers]

    def wrap(self, key: bytes, purpose: str) -> bytes:
        """*key* as the catalog may hold it, for *purpose* alone."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + self.newest + nonce + self._ciphers[self.newest].encrypt(nonce, key, purpose.encode())

    def unwrap(self, wrapped: bytes, purpose: str) -> bytes:
        """The key that was wrapped for *purpose*.

        Raises:
            WrappingKeyMissing: It was wrapped under a key that is not here, or it is not as it was wrapped.
        """
        under = which(wrapped)
        cipher = self._ciphers.get(under)
        if cipher is None:
            raise missing(under.hex())
        nonce = wrapped[_NONCE_AT : _NONCE_AT + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, wrapped[_NONCE_AT + _NONCE_BYTES :], purpose.encode())
        except (InvalidTag, ValueError):
            raise WrappingKeyMissing(
                f"The catalog's key of {purpose} cannot be unwrapped: it was changed, or is another's. Restore the catalog."
            ) from None


def id_of(key: bytes) -> bytes:
    """Which wrapping key it is: the first bytes of its SHA-256, which say nothing of it."""
    return hashlib.sha256(key).digest()[:ID_BYTES]


def which(wrapped: bytes) -> bytes:
    """The id of the wrapping key that *wrapped* is under."""
    return wrapped[ID_AT:_NONCE_AT]


def missing(under: str) -> WrappingKeyMissing:
    """What is said where the wrapping key *under*, an id in hexadecimal, is not among those given."""
    return WrappingKeyMissing(
        f"The wrapping key {under} is needed and {_SETTING} does not have it. Put it there, behind the newest one."
    )


def generated() -> str:
    """A new wrapping key, as the setting takes it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _decoded(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidSettings(
            f"{_SETTING} needs keys of 256 bits in base64, newest first: head -c 32 /dev/urandom | base64"
        )
    return key
