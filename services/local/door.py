"""The door of a service on this machine: on which address it listens, over TLS or not, and what is to be said about it."""

import importlib.util
import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services import installation
from services.local import ports
from services.local.pair import Pair

LOOPBACK = "127.0.0.1"
_EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - Listened on only where asked for.


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    port: int | None = None
    """None: 8000, or the next that is free."""
    host: str = LOOPBACK
    tls: tuple[Path, Path] | None = None
    """Certificate and key."""
    self_signed: bool = False

    def check(self) -> None:
        """See that it can be had, before anything is started.

        Raises:
            BadCertificate: Certificate or key cannot be used.
            CannotStart: This machine has no such address.
        """
        if self.tls is not None or self.self_signed:
            _require_cryptography()
        self._given()
        ports.require_local(self.host)

    def opened(self, data: Path) -> "Door":
        """The door, its port chosen and its certificate there.

        Raises:
            BadCertificate, CannotStart: As :meth:`check`; or the port is taken.
        """
        pair = self._given()
        if self.self_signed:
            from services.local import certificates  # noqa: PLC0415 - Takes its time, and commands import this.

            pair = certificates.self_signed(data, self.host)
        reserved = ports.public(self.port, host=self.host)
        return Door(self.host, reserved.port, pair, reserved)

    def _given(self) -> Pair | None:
        if self.tls is None:
            return None
        from services.local import certificates  # noqa: PLC0415 - As above.

        return certificates.given(*self.tls)


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service listens."""

    host: str
    port: int
    pair: Pair | None
    """None: no TLS."""
    reserved: ports.Reserved | None = None
    """Keeps the port ours until the gateway listens on it."""

    @property
    def address(self) -> str:
        """As gunicorn takes it."""
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """By which this machine reaches it."""
        return self._url(_EVERYWHERE.get(self.host, self.host))

    @property
    def certificate(self) -> Path | None:
        """The one certificate that is to be trusted at that address."""
        return None if self.pair is None else self.pair.certificate

    def told(self) -> Iterator[str]:
        """What there is to be said beside the URL, line by line."""
        if self.pair is not None and self.pair.is_ours:
            from services.local import certificates  # noqa: PLC0415 - As above.

            yield f"certificate of our own making: {self.pair.certificate}"
            yield f"SHA-256 {certificates.fingerprint(self.pair)}"
        if _is_loopback(self.host):
            return
        name = socket.gethostname() if self.host in _EVERYWHERE else self.host
        yield f"from other machines: {self._url(name)}"
        if self.pair is None:
            yield (
                "Warning: without TLS keys and photos cross the network for everybody to read, and browsers elsewhere give no "
                "camera. Start with --tls CERT KEY, or with --self-signed."
            )

    def _url(self, host: str) -> str:
        return f"{'http' if self.pair is None else 'https'}://{_bracketed(host)}:{self.port}"


def _require_cryptography() -> None:
    """See that certificates can be looked at here.

    Raises:
        CannotStart: What it takes is not installed.
    """
    if importlib.util.find_spec("cryptography") is None:
        raise installation.missing("local", "cryptography")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
