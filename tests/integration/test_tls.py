"""TLS: who reaches the gateway over it, whom it believes, and what it tells browsers."""

import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from services import trust
from services.local import certificates
from tests import gatewayed, pairs
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def test_with_a_pair_from_elsewhere(tmp_path: Path) -> None:
    certificate, key = pairs.written(tmp_path, "first")
    pair = certificates.given(certificate, key)
    with gatewayed.opened(tmp_path, pair) as gateway:
        with gateway.http() as http:
            answer = http.get("/health/live")
            assert answer.status_code == 200
            assert answer.headers["Strict-Transport-Security"] == "max-age=2592000"
        assert "Secure" in gateway.sign_in().headers["Set-Cookie"]

        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{gateway.url}/health/live", trust_env=False)
        named = ssl.create_default_context(cafile=certificate)
        named.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        assert httpx.get(f"https://localhost:{gateway.door.port}/health/live", verify=named).status_code == 200
        other = trust.only(pairs.written(tmp_path, "other")[0])
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{gateway.url}/health/live", verify=other, trust_env=False)
        with pytest.raises(httpx.TransportError):
            httpx.get(gateway.url.replace("https", "http"), trust_env=False)

        # Renewed as ACME clients do it: it is served without a restart.
        before = _served(gateway.door.port)
        renewed = pairs.written(tmp_path, "renewed")
        shutil.copy(renewed[0], certificate)
        assert _served(gateway.door.port) == before  # Half of the new pair is there.
        shutil.copy(renewed[1], key)
        eventually(lambda: _served(gateway.door.port) == renewed[0].read_text())
        with gateway.http() as http:
            assert http.get("/health/live").status_code == 200


def test_what_a_proxy_says_is_believed_only_where_there_is_one(service: Running, tmp_path: Path) -> None:
    key, forwarded = str(service.instance()["api_key"]), {"X-Forwarded-Proto": "https"}
    answer = httpx.post(f"{service.instance()['url']}/sign-in", data={"key": key}, headers=forwarded)
    assert answer.status_code == 303
    assert "Secure" not in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers
    with gatewayed.opened(tmp_path, COLEGA_TRUSTED_PROXIES="1") as gateway:
        assert "Secure" not in gateway.sign_in().headers["Set-Cookie"]
        forwarded["X-Forwarded-Host"] = "faces.example"
        answer = gateway.sign_in(**forwarded)
        assert answer.status_code == 403  # The form was not that of faces.example.
        with gateway.http(**forwarded) as http:
            answer = http.post("/sign-in", data={"key": gateway.key}, headers={"Origin": "https://faces.example"})
        assert "Secure" in answer.headers["Set-Cookie"]
        assert answer.headers["Strict-Transport-Security"] == "max-age=2592000"


@pytest.mark.parametrize("bad", ["mismatched", "both ways"])
def test_a_pair_that_cannot_be_used_stops_the_start_before_anything_is_there(tmp_path: Path, bad: str) -> None:
    certificate, key = pairs.written(tmp_path, "pair")
    other = pairs.written(tmp_path, "other")[1]
    words = ["--tls", str(certificate), *([str(other)] if bad == "mismatched" else [str(key), "--self-signed"])]
    data = tmp_path / "data"

    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "up", "--data", str(data), *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not data.exists()


def _served(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))
