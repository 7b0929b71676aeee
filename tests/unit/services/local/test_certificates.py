"""Certificates: a bad pair is refused with a sentence, one of our own making is right and kept."""

import datetime as dt
import ipaddress
import socket
from pathlib import Path

import pytest
from cryptography import x509

from services.errors import BadCertificate
from services.local import certificates
from tests import pairs


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(path: Path) -> x509.SubjectAlternativeName:
    return read(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_pair_that_belongs_together_is_taken(tmp_path: Path) -> None:
    certificate, key = pairs.written(tmp_path, "good")

    pair = certificates.given(certificate, key)

    assert (pair.certificate, pair.key, pair.is_ours) == (certificate, key, False)


def test_a_pair_that_cannot_be_used_is_refused_with_a_sentence(tmp_path: Path) -> None:
    good, key = pairs.written(tmp_path, "good")
    other = pairs.written(tmp_path, "other")[1]
    expired = pairs.written(tmp_path, "expired", since=-100)
    early = pairs.written(tmp_path, "early", since=5)
    locked = pairs.written(tmp_path, "locked", password="secret")
    (tmp_path / "text").write_text("nothing of the kind")
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    refused = {
        (good, other): "is not that of the certificate",
        (tmp_path / "nowhere", key): "cannot be read: No such file",
        (good, tmp_path / "nowhere"): "cannot be read: No such file",
        (tmp_path, key): "cannot be read: Is a directory",
        (tmp_path / "text", key): "holds no certificate in PEM",
        (tmp_path / "bytes", key): "holds no certificate in PEM",
        (good, tmp_path / "text"): "cannot be used: give a certificate and its key in PEM",
        (key, good): "holds no certificate in PEM",
        expired: "has expired on",
        early: "is valid from",
        locked: "needs a password",
    }

    for (certificate, secret), why in refused.items():
        with pytest.raises(BadCertificate, match=why):
            certificates.given(certificate, secret)


def test_a_pair_of_our_own_names_this_machine_and_lasts_397_days(tmp_path: Path) -> None:
    pair = certificates.self_signed(tmp_path, "127.0.0.1")
    made, named = read(pair.certificate), names(pair.certificate)

    assert made.not_valid_after_utc - made.not_valid_before_utc == dt.timedelta(days=397)
    assert {"localhost", socket.gethostname()} <= set(named.get_values_for_type(x509.DNSName))
    assert {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")} <= set(
        named.get_values_for_type(x509.IPAddress)
    )
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert pair.key.stat().st_mode & 0o777 == 0o600
    assert len(certificates.fingerprint(pair).split(":")) == 32


def test_a_pair_of_our_own_is_kept_while_it_holds(tmp_path: Path) -> None:
    first = certificates.fingerprint(certificates.self_signed(tmp_path, "127.0.0.1"))

    assert certificates.fingerprint(certificates.self_signed(tmp_path, "0.0.0.0")) == first
    assert certificates.fingerprint(certificates.self_signed(tmp_path, "localhost")) == first


@pytest.mark.parametrize("spoilt", ["expiring", "mismatched", "cut short", "made out to others"])
def test_a_pair_of_our_own_that_does_not_hold_is_made_anew(tmp_path: Path, spoilt: str) -> None:
    pair = certificates.self_signed(tmp_path, "127.0.0.1")
    first = certificates.fingerprint(pair)
    host = "127.0.0.1"
    if spoilt == "expiring":
        certificate, key = pairs.written(tmp_path, "expiring", days=20)
        certificate.replace(pair.certificate)
        key.replace(pair.key)
        first = certificates.fingerprint(pair)
    elif spoilt == "mismatched":
        pairs.written(tmp_path, "other")[1].replace(pair.key)
    elif spoilt == "cut short":
        pair.certificate.write_bytes(pair.certificate.read_bytes()[:100])
    else:
        host = "10.9.8.7"

    again = certificates.self_signed(tmp_path, host)

    assert certificates.fingerprint(again) != first
    assert certificates._holds(again, host)
