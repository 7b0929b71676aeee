"""One POST to a webhook: signed as Standard Webhooks has it, to an address that was looked at, within a deadline.

No redirect is followed, no proxy asked, and what comes back is not kept.
"""

import base64
import hashlib
import hmac
import json
import ssl
import time
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import httpcore

from services import targets
from services.version import __version__

_CONNECT_S = 5.0
_MOST_BYTES = 65_536
"""So much of an answer is read, to let the other side finish."""
_LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt went."""

    status: int | None
    """None where nobody answered."""
    error: str | None
    """A sentence; None: it has arrived."""
    retry_after_s: float = 0.0
    """How long the other side asks to be left alone."""

    @property
    def is_gone(self) -> bool:
        """Whether the other side wants no more of it."""
        return self.status == 410


def serialised(body: Mapping[str, Any]) -> bytes:
    """An event as it is sent and signed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: str, event: str, timestamp_s: int, content: bytes) -> str:
    """``v1,`` and the HMAC-SHA256 over ``event.timestamp.content``, in base64.

    Args:
        secret: ``whsec_`` and the key in base64.
        event: The header ``webhook-id``.
        timestamp_s: The header ``webhook-timestamp``: seconds since 1970 UTC.
        content: The body, byte for byte.
    """
    key = base64.b64decode(secret.partition("_")[2])
    signed = f"{event}.{timestamp_s}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(
    url: str,
    secret: str,
    event: str,
    body: Mapping[str, Any],
    *,
    private: bool,
    trust: ssl.SSLContext,
    within_s: float,
    ours: AbstractSet[targets.Server] = frozenset(),
) -> Answer:
    """Send *body* to *url* now. Never raises: whatever goes wrong is in the answer.

    Args:
        url: Of the webhook.
        secret: By which it is signed.
        event: Public id of what happened.
        body: What is to be said.
        private: Whether private addresses may be connected to.
        trust: Which certificates are believed.
        within_s: How long all of it may take, from asking the DNS to the answer.
        ours: Servers that are never connected to.
    """
    content, timestamp_s = serialised(body), int(time.time())
    headers: dict[bytes | str, bytes | str] = {
        "Content-Type": "application/json",
        "User-Agent": f"colega/{__version__}",
        "webhook-id": event,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(secret, event, timestamp_s, content),
    }
    backend = _Backend(private=private, within_s=within_s, ours=ours)
    waits = {"connect": _CONNECT_S, "read": within_s, "write": within_s, "pool": within_s}
    try:
        with (
            httpcore.ConnectionPool(ssl_context=trust, network_backend=backend, max_connections=1) as pool,
            pool.stream("POST", url, headers=headers, content=content, extensions={"timeout": waits}) as response,
        ):
            _read_some(response)
            return _judged(response.status, dict(response.headers))
    except (targets.OffLimits, targets.Unresolved) as error:
        return Answer(None, str(error))
    except httpcore.TimeoutException:
        return Answer(None, f"No answer within {within_s:.0f} s.")
    except (httpcore.ConnectError, ssl.SSLError) as error:
        return Answer(None, _unconnected(error))
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        return Answer(None, f"The connection broke: {str(error) or type(error).__name__}.")
    except Exception as error:  # noqa: BLE001 - One address that cannot be dealt with keeps no other waiting.
        return Answer(None, f"It cannot be sent: {type(error).__name__}.")


def _read_some(response: httpcore.Response) -> None:
    """Let the other side say what it wants to say, up to a measure; it has taken the event already."""
    size = 0
    try:
        for part in response.iter_stream():
            size += len(part)
            if size > _MOST_BYTES:
                return
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass


def _judged(status: int, headers: Mapping[bytes, bytes]) -> Answer:
    if 200 <= status < 300:
        return Answer(status, None)
    if 300 <= status < 400:
        return Answer(status, f"It answered {status}. Redirects are not followed: give the address that they lead to.")
    asked = next((value for name, value in headers.items() if name.lower() == b"retry-after"), b"")
    wait_s = min(float(asked), _LONGEST_RETRY_AFTER_S) if asked.isdigit() and len(asked) < 10 else 0.0
    return Answer(status, f"It answered {status}.", wait_s)


def _unconnected(error: Exception) -> str:
    said = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            f"Its certificate is not trusted ({said.partition('failed: ')[2].partition(' (')[0]}). See COLEGA_CA_FILE."
        )
    if "SSL" in said:
        return "It does not speak TLS as it should."
    return f"It cannot be connected to: {said}."


class _Backend(httpcore.SyncBackend):
    """Connects only to addresses that were looked at, and to no other that the name may lead to a moment later."""

    def __init__(self, *, private: bool, within_s: float, ours: AbstractSet[targets.Server]) -> None:
        self._private, self._ours = private, ours
        self._give_up_at = time.monotonic() + within_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = targets.resolve(host, port, private=self._private, ours=self._ours)
        last: Exception | None = None
        for address in addresses:
            try:
                wait_s = _left(self._give_up_at, timeout)
                stream = super().connect_tcp(address, port, wait_s, local_address, socket_options)
                return _Stream(stream, self._give_up_at)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last


class _Stream(httpcore.NetworkStream):
    """A connection that is over at a certain time, however little comes through it at a time."""

    def __init__(self, stream: httpcore.NetworkStream, give_up_at: float) -> None:
        self._stream, self._give_up_at = stream, give_up_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._give_up_at, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._give_up_at, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._give_up_at, timeout))
        return _Stream(stream, self._give_up_at)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's
        return self._stream.get_extra_info(info)


def _left(give_up_at: float, timeout_s: float | None) -> float:
    """How long one step may take.

    Raises:
        httpcore.ReadTimeout: The time for all of them is over.
    """
    left_s = give_up_at - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout("The time is over.")
    return left_s if timeout_s is None else min(left_s, timeout_s)
