"""TLS as the gateway speaks it: one context for all connections, made anew when certificate or key were replaced."""

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from services.logs import logger


class _Stamp(NamedTuple):
    """By which a replaced file is known."""

    modified_ns: int
    size_bytes: int
    number: int


class Encryption:
    """The context that is in use. Making one for each connection, as gunicorn does, would take longer than most answers."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._of: list[_Stamp] = []
        self._lock = threading.Lock()
        self._expires_at: float | None = None

    def context(self, certificate: Path, key: Path) -> ssl.SSLContext:
        """For the pair as it is now; the one before stays in use while a new pair is there by half, or cannot be used.

        Raises:
            OSError, ssl.SSLError: The first pair cannot be used.
        """
        with self._lock:
            found = [_stamp(path) for path in (certificate, key)]
            if self._context is None or found != self._of:
                self._of = found
                self._context = self._made(certificate, key)
            return self._context

    def expires_at(self) -> float | None:
        """When the certificate that is in use ends, in seconds since 1970; None without one."""
        return self._expires_at

    def _made(self, certificate: Path, key: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key)
            self._expires_at = _ends(certificate)
        except (OSError, ssl.SSLError) as error:
            if self._context is None:
                raise
            logger().warning("certificate.not_replaced", reason=str(error))
            return self._context
        return context


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return _Stamp(0, 0, 0)
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


def _ends(certificate: Path) -> float | None:
    from cryptography import x509  # noqa: PLC0415 - Takes its time; only where there is TLS.

    try:
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
    except ValueError:  # What OpenSSL took is in use; only its end is not known.
        return None


_encryption = Encryption()


def expires_at() -> float | None:
    """When the certificate of this gateway ends, in seconds since 1970; None without TLS, or before its first connection."""
    return _encryption.expires_at()


def of_gunicorn(config: object, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Gunicorn's hook ``ssl_context``."""
    del default
    return _encryption.context(Path(config.certfile), Path(config.keyfile))  # type: ignore[attr-defined]
