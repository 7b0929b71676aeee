"""A typed client of the HTTP interface, with its nouns: ``Client(url, key).people.add("Ana", ["ana.jpg"])``.

Answers are the JSON documents of the API as dictionaries. A refusal raises :class:`ServiceError` with the service's own
sentence; a service that does not answer raises :class:`Unreachable`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from services.errors import ColegaError, Unavailable

Document = dict[str, Any]

_TRIES = 6
_LONGEST_WAIT_S = 20.0


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


class Client:
    """The service at *url*, with *key*, about *collection*. Safe to share between threads."""

    def __init__(self, url: str, key: str, *, collection: str = "default", timeout_s: float = 120.0) -> None:
        self.url = url.rstrip("/")
        self.collection = collection
        limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_s, limits=limits)
        self.people = People(self)
        self.photos = Photos(self)
        self.faces = Faces(self)
        self.imports = Imports(self)
        self.jobs = Jobs(self)
        self.models = Models(self)
        self.keys = Keys(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def search(self, photo: Path, **how: Any) -> Document:  # noqa: ANN401 - the query fields of POST /v1/search
        """Who is in *photo*."""
        return self.send("POST", "/v1/search", query=how, photos=[("photo", photo)])

    def verify(self, a: Path, b: Path | None = None, *, person_id: str | None = None, **how: Any) -> Document:  # noqa: ANN401
        """Whether two photos, or a photo and a person, show the same."""
        if person_id is not None:
            return self.send("POST", "/v1/verify", query=how, form={"person_id": person_id}, photos=[("photo", a)])
        assert b is not None
        return self.send("POST", "/v1/verify", query=how, photos=[("a", a), ("b", b)])

    def detect(self, photo: Path, **how: Any) -> Document:  # noqa: ANN401
        """Where the faces of *photo* are."""
        return self.send("POST", "/v1/detect", query=how, photos=[("photo", photo)])

    def status(self) -> Document:
        """What runs, and how far it is."""
        return self.send("GET", "/v1/status")

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
            patient: Ask again while the service says 503 or cannot be reached, some tries with growing pauses.

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
                    raise Unreachable(
                        f"The service at {self.url} cannot be reached. Start it with `colega up`, or set COLEGA_URL."
                    ) from error
                time.sleep(min(0.5 * 2**attempt, _LONGEST_WAIT_S))
                continue
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and not last:
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


def _read(answer: httpx.Response) -> Document:
    kind = answer.headers.get("Content-Type", "")
    if answer.is_success:
        return dict(answer.json()) if "json" in kind else {"content": answer.content}
    try:
        problem = answer.json() if "json" in kind else {}
    except ValueError:
        problem = {}
    raise ServiceError(answer.status_code, problem)


class _Nouns:
    def __init__(self, client: Client) -> None:
        self._client = client


class People(_Nouns):
    """``client.people``."""

    def list(self, query: str = "") -> Iterator[Document]:
        """People by name; *query* is searched for in the name."""
        return self._client.pages("/v1/people", query=query, limit=200)

    def named(self, name: str) -> Sequence[Document]:
        """Everyone of exactly that name."""
        found: Sequence[Document] = self._client.send("GET", "/v1/people", query={"name": name})["items"]
        return found

    def show(self, person_id: str) -> Document:
        """One person with their faces."""
        return self._client.send("GET", f"/v1/people/{person_id}")

    def add(self, name: str, photos: Sequence[Path], *, external_id: str | None = None) -> Document:
        """A new person with photos; the answer names the job after which they are found."""
        form = {"name": name} | ({} if external_id is None else {"external_id": external_id})
        return self._client.send("POST", "/v1/people", form=form, photos=[("photo", photo) for photo in photos])

    def add_photos(self, person_id: str, photos: Sequence[Path]) -> Document:
        """More photos of a person."""
        files = [("photo", photo) for photo in photos]
        return self._client.send("POST", f"/v1/people/{person_id}/photos", photos=files)

    def rename(self, person_id: str, name: str) -> Document:
        """Another name."""
        return self._client.send("PATCH", f"/v1/people/{person_id}", body={"name": name})

    def merge(self, person_id: str, into: str) -> Document:
        """All faces of a person to another, who remains."""
        return self._client.send("POST", f"/v1/people/{person_id}/merge", body={"into": into})

    def delete(self, person_id: str) -> Document:
        """Erase a person."""
        return self._client.send("DELETE", f"/v1/people/{person_id}")

    def export(self, person_id: str) -> bytes:
        """Everything held about a person, as a zip."""
        content: bytes = self._client.send("GET", f"/v1/people/{person_id}/export")["content"]
        return content


class Photos(_Nouns):
    """``client.photos``."""

    def show(self, photo_id: str) -> Document:
        """One photo with its faces."""
        return self._client.send("GET", f"/v1/photos/{photo_id}")

    def delete(self, photo_id: str) -> Document:
        """Delete a photo with its faces."""
        return self._client.send("DELETE", f"/v1/photos/{photo_id}")


class Faces(_Nouns):
    """``client.faces``."""

    def unassigned(self) -> Iterator[Document]:
        """Faces of nobody that were kept."""
        return self._client.pages("/v1/faces", limit=200)

    def assign(self, face_id: str, person_id: str | None) -> Document:
        """Say whose a face is; None: nobody's."""
        return self._client.send("PATCH", f"/v1/faces/{face_id}", body={"person_id": person_id})

    def delete(self, face_id: str) -> Document:
        """Delete a face."""
        return self._client.send("DELETE", f"/v1/faces/{face_id}")


class Imports(_Nouns):
    """``client.imports``."""

    def open(self, source: str, *, faces: str = "largest", expected: int | None = None) -> str:
        """A job to upload into; its id."""
        body = {"source": source[:1024], "faces": faces, "expected": expected}
        return str(self._client.send("POST", "/v1/imports", body=body, patient=True)["job"])

    def upload(self, job: str, photos: Sequence[tuple[str, bytes]], label: Mapping[str, str]) -> Sequence[Document]:
        """Photos of one person, each with the name it is to be reported by; what became of each."""
        answer = self._client.send(
            "POST", "/v1/photos", form={"job": job, **label}, named=[("photo", photo) for photo in photos], patient=True
        )
        taken: Sequence[Document] = answer["items"]
        return taken

    def close(self, job: str) -> Document:
        """Say that all was sent."""
        return self._client.send("POST", f"/v1/imports/{job}/close", patient=True)

    def create(self, path: Path) -> Document:
        """Import a directory, an archive or a manifest and wait for its end; the summary."""
        from services.cli import importing  # noqa: PLC0415 - the importer uses this client

        return importing.run(self._client, path).summary()


class Jobs(_Nouns):
    """``client.jobs``."""

    def list(self) -> Iterator[Document]:
        """Jobs, newest first."""
        return self._client.pages("/v1/jobs", limit=50)

    def show(self, job: str) -> Document:
        """How far a job is."""
        return self._client.send("GET", f"/v1/jobs/{job}", patient=True)

    def items(self, job: str, status: str | None = None) -> Iterator[Document]:
        """The photos of a job, and how each ended."""
        return self._client.pages(f"/v1/jobs/{job}/items", limit=500, status=status)

    def cancel(self, job: str) -> Document:
        """End what has not ended."""
        return self._client.send("POST", f"/v1/jobs/{job}/cancel")

    def retry(self, job: str) -> Document:
        """Work again on what was rejected or cancelled."""
        return self._client.send("POST", f"/v1/jobs/{job}/retry")


class Models(_Nouns):
    """``client.models``."""

    def list(self) -> Sequence[Document]:
        """Every model."""
        found: Sequence[Document] = self._client.send("GET", "/v1/models")["items"]
        return found

    def show(self, model: str) -> Document:
        """One model, by id or name."""
        return self._client.send("GET", f"/v1/models/{model}")

    def add(self, file: Path, name: str) -> Document:
        """Bring a detector along; a worker tries it."""
        return self._client.send("POST", "/v1/models", form={"name": name}, photos=[("file", file)])

    def change(self, model: str, verb: str) -> Document:
        """``activate`` or ``retire``."""
        return self._client.send("POST", f"/v1/models/{model}/{verb}")


class Keys(_Nouns):
    """``client.keys``."""

    def list(self) -> Sequence[Document]:
        """Every key."""
        found: Sequence[Document] = self._client.send("GET", "/v1/keys")["items"]
        return found

    def create(self, name: str, scopes: Sequence[str], **more: Any) -> Document:  # noqa: ANN401
        """A new key; its secret is in the answer."""
        return self._client.send("POST", "/v1/keys", body={"name": name, "scopes": list(scopes), **more})

    def revoke(self, key_id: str) -> Document:
        """End a key."""
        return self._client.send("DELETE", f"/v1/keys/{key_id}")
