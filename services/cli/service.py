"""Requests to the service: one connection pool, patience where it is asked for, refusals as errors."""

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from services.errors import ColegaError, Unavailable

Document = dict[str, Any]
"""An answer of the API."""

_TRIES = 6
_LONGEST_WAIT_S = 20.0
_LATER = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}


class ServiceError(ColegaError):
    """The service refused or failed; ``problem`` is its answer."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or problem.get("title") or f"The service answered {status}.")
        super().__init__(
            f"{detail} (request {problem['request_id']})" if status >= 500 and "request_id" in problem else detail
        )
        self.status = status  # type: ignore[misc]
        self.problem = dict(problem)


class Unreachable(Unavailable):
    """Nothing answers at the service's address."""


class Service:
    """The service at *url*, with *key*, about *collection*. Safe to share between threads.

    *trust*: the certificates to believe over HTTPS, where they are not the system's.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        collection: str = "default",
        timeout_s: float = 120.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.collection = collection
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout_s,
            limits=limits,
            verify=True if trust is None else trust,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        photos: Sequence[tuple[str, Path]] = (),
        named: Sequence[tuple[str, tuple[str, bytes]]] = (),
        patient: bool = False,
    ) -> Document:
        """One request.

        Args:
            method: Of HTTP.
            path: From ``/v1`` on.
            query: Further query fields; those that are None are left out.
            body: As JSON.
            form: Fields beside files.
            photos: Files to be streamed, by field.
            named: The same from memory, with the name to be told.
            patient: Ask again while the service says 503 or 429, or cannot be reached, some tries with growing pauses.

        Raises:
            ServiceError: It refused or failed.
            Unreachable: It does not answer.
        """
        parameters = {k: v for k, v in {"collection": self.collection, **(query or {})}.items() if v is not None}
        for attempt in range(_TRIES if patient else 1):
            last = attempt == (_TRIES if patient else 1) - 1
            try:
                with ExitStack() as stack:
                    opened = [(field, (file.name, stack.enter_context(file.open("rb")))) for field, file in photos]
                    answer = self._http.request(
                        method, path, params=parameters, json=body, data=form, files=[*opened, *named] or None
                    )
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(self.url, error) from error
                time.sleep(min(0.5 * 2**attempt, _LONGEST_WAIT_S))
                continue
            if answer.status_code in _LATER and not last:
                time.sleep(min(float(answer.headers.get("Retry-After", 1)) * 1.5**attempt, _LONGEST_WAIT_S))
                continue
            return _read(answer)
        raise AssertionError("The last attempt returns or raises.")

    def pages(self, path: str, **query: Any) -> Iterator[Document]:  # noqa: ANN401
        """All items of a list."""
        cursor = None
        while True:
            page = self.send("GET", path, query={**query, "cursor": cursor})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _unreachable(url: str, error: Exception) -> Unreachable:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        why = str(error).partition("failed: ")[2].partition(" (")[0]
        return Unreachable(
            f"The certificate of the service at {url} is not trusted ({why}). Where it is right nevertheless, name it or its "
            "authority's in COLEGA_CA_FILE."
        )
    return Unreachable(f"The service at {url} cannot be reached. Start it with `colega up`, or set COLEGA_URL.")


def _read(answer: httpx.Response) -> Document:
    kind = answer.headers.get("Content-Type", "")
    if answer.is_success:
        return dict(answer.json()) if "json" in kind else {"content": answer.content}
    try:
        problem = answer.json() if "json" in kind else {}
    except ValueError:
        problem = {}
    raise ServiceError(answer.status_code, problem)
