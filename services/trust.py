"""Whom to believe over TLS: the system's certificates and those of a file, or one certificate and nobody else."""

import ssl
from pathlib import Path

from services.errors import InvalidSettings

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """For any host: the system's certificates, and those in *ca_file*. Names must agree.

    Raises:
        InvalidSettings: The file holds no certificates that can be read.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            why = "it holds no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise InvalidSettings(f"COLEGA_CA_FILE names {ca_file}, which cannot be used: {why}.") from None
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # One that is no authority's may stand for itself.
    return context


def only(certificate: Path) -> ssl.SSLContext:
    """For a service on this machine: exactly the first certificate of a file, whatever name it was made out to.

    Raises:
        OSError, ValueError: The file cannot be read, or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=leaf(certificate.read_text(encoding="ascii", errors="replace")))
    return context


def leaf(pem: str) -> str:
    """The first certificate of *pem*: the server's own. Those that follow lead to its authority, and vouch for others too."""
    begin, end = pem.find(_BEGIN), pem.find(_END)
    return "" if begin < 0 or end < begin else pem[begin : end + len(_END)] + "\n"
