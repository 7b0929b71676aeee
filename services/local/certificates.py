"""Certificates: a pair that was given, looked at before anything starts with it, and one of our own making."""

import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services import trust
from services.errors import BadCertificate, CannotStart
from services.local.pair import Pair

FOLDER = "tls"
VALID_DAYS = 397
"""What browsers take at most."""
RENEWED_DAYS = 30
"""A pair of ours that is valid for less is made anew."""
_A_DAY = dt.timedelta(days=1)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def fingerprint(pair: Pair) -> str:
    """SHA-256 of the certificate, as browsers show it."""
    return ":".join(f"{byte:02X}" for byte in _read(pair.certificate).fingerprint(hashes.SHA256()))


def given(certificate: Path, key: Path) -> Pair:
    """A pair from elsewhere: the certificate first in its file, those that lead to its authority after it.

    Raises:
        BadCertificate: One of them is missing or cannot be read, they do not belong together, or it is not valid now.
    """
    certificate, key = certificate.absolute(), key.absolute()
    for path, what in ((certificate, "certificate"), (key, "key")):
        try:
            path.read_bytes()
        except OSError as error:
            raise BadCertificate(f"The {what} {path} cannot be read: {error.strerror}.") from None
    found = _read(certificate)
    _require_match(certificate, key)
    moment = dt.datetime.now(dt.UTC)
    if found.not_valid_after_utc <= moment:
        when = found.not_valid_after_utc.date().isoformat()
        raise BadCertificate(f"The certificate {certificate} has expired on {when}. Renew it, or use --self-signed.")
    if found.not_valid_before_utc > moment:
        when = found.not_valid_before_utc.isoformat(sep=" ", timespec="minutes")
        raise BadCertificate(f"The certificate {certificate} is valid from {when} on. See that this clock is right.")
    return Pair(certificate, key, is_ours=False)


def self_signed(data: Path, host: str) -> Pair:
    """The pair in ``DATA/tls``, for this machine's names and addresses; made where there is none that holds for some time.

    Args:
        data: The service's folder.
        host: What it listens on; a pair that was not made out to that is made anew.

    Raises:
        CannotStart: It cannot be written.
    """
    pair = Pair(data / FOLDER / "cert.pem", data / FOLDER / "key.pem", is_ours=True)
    if not _holds(pair, host):
        try:
            _make(pair, host)
        except OSError as error:
            raise CannotStart(f"{pair.certificate} cannot be written: {error.strerror}.") from None
    return pair


def _holds(pair: Pair, host: str) -> bool:
    try:
        found = _read(pair.certificate)
        _require_match(pair.certificate, pair.key)
    except BadCertificate:
        return False
    until = found.not_valid_after_utc - dt.datetime.now(dt.UTC)
    named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return until > RENEWED_DAYS * _A_DAY and all(name in named for name in _names_of(host))


def _make(pair: Pair, host: str) -> None:
    """A new pair. The key is never readable by others, not even for a moment."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"colega on {socket.gethostname()}"[:64])])
    moment = dt.datetime.now(dt.UTC)
    names = dict.fromkeys([*_names_of(host), *_names_of_machine(), *map(x509.IPAddress, _addresses())])
    public = key.public_key()
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _A_DAY / 24)
        .not_valid_after(moment - _A_DAY / 24 + VALID_DAYS * _A_DAY)
        .add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.key.parent.mkdir(mode=0o700, exist_ok=True)
    _write(pair.key, secret, 0o600)
    _write(pair.certificate, builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(path: Path) -> x509.Certificate:
    """The first certificate of a file.

    Raises:
        BadCertificate: There is none.
    """
    try:
        return x509.load_pem_x509_certificate(trust.leaf(path.read_text("ascii", "replace")).encode())
    except (OSError, ValueError):
        raise BadCertificate(f"{path} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).") from None


def _require_match(certificate: Path, key: Path) -> None:
    """See that the key is the certificate's, and needs no password.

    Raises:
        BadCertificate: It is not, or does.
    """

    def no_password() -> str:
        raise BadCertificate(f"The key {key} needs a password. Give one without: openssl pkey -in OLD -out NEW")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            why = f"The key {key} is not that of the certificate {certificate}: give the two that belong together."
        else:
            why = f"{certificate} and {key} cannot be used: give a certificate and its key in PEM ({error.reason})."
        raise BadCertificate(why) from None
    except OSError as error:
        raise BadCertificate(f"{certificate} and {key} cannot be read: {error.strerror}.") from None


def _names_of(host: str) -> list[x509.GeneralName]:
    """What *host* is called in a certificate; nothing where it stands for all addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [x509.DNSName(host)]
    return [] if address.is_unspecified else [x509.IPAddress(address)]


def _names_of_machine() -> list[x509.GeneralName]:
    own = socket.gethostname()
    names = ["localhost", own, socket.getfqdn(), f"{own.partition('.')[0]}.local"]
    return [x509.DNSName(name) for name in dict.fromkeys(names) if name and name.isascii()]


def _addresses() -> list[_Address]:
    """The addresses of this machine's interfaces, loopback first."""
    found: list[_Address] = [ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")]
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
        found += [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/fib_trie").read_text("ascii").splitlines():
            words = line.split()
            if words[:1] == ["|--"]:
                last = ipaddress.IPv4Address(words[1])
            elif words[:3] == ["/32", "host", "LOCAL"]:
                found.append(last)
    return [one for one in dict.fromkeys(found) if not one.is_link_local]
