"""The nouns of the interface: ``client.people``, ``client.photos`` and so on."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from services.cli.service import Document, Service
from services.errors import Unavailable

_ENDS = {"done", "failed", "cancelled"}
_POLL_S = 0.1


class Nouns:
    """One noun of the interface."""

    def __init__(self, client: Service) -> None:
        self._client = client


class Photos(Nouns):
    """``client.photos``."""

    def show(self, photo_id: str) -> Document:
        """One photo with its faces."""
        return self._client.send("GET", f"/v1/photos/{photo_id}")

    def thumbnail(self, photo_id: str) -> bytes:
        """A small JPEG of it."""
        content: bytes = self._client.send("GET", f"/v1/photos/{photo_id}/thumbnail")["content"]
        return content

    def raw(self, photo_id: str) -> bytes:
        """The original file."""
        content: bytes = self._client.send("GET", f"/v1/photos/{photo_id}/raw")["content"]
        return content

    def delete(self, photo_id: str, *, now: bool = False) -> Document:
        """Delete a photo with its faces; ``erasure`` is the receipt."""
        return self._client.send("DELETE", f"/v1/photos/{photo_id}", query={"now": now} if now else None)


class Faces(Nouns):
    """``client.faces``."""

    def unassigned(self) -> Iterator[Document]:
        """Faces of nobody that were kept."""
        return self._client.pages("/v1/faces", limit=200)

    def show(self, face_id: str) -> Document:
        """One face."""
        return self._client.send("GET", f"/v1/faces/{face_id}")

    def chip(self, face_id: str) -> bytes:
        """The face's surroundings, a JPEG."""
        content: bytes = self._client.send("GET", f"/v1/faces/{face_id}/chip")["content"]
        return content

    def clusters(self, **how: Any) -> Document:  # noqa: ANN401 - the query fields of GET /v1/clusters
        """Faces of nobody that look alike, largest cluster first; waits while they are being compared."""
        return whole(self._client, "/v1/clusters", how)

    def doubtful(self, **how: Any) -> Document:  # noqa: ANN401 - the query fields of GET /v1/review/doubtful
        """Faces of people that are perhaps not theirs, most doubtful first; waits while they are being compared."""
        return whole(self._client, "/v1/review/doubtful", how)

    def assign(self, face_id: str, person_id: str | None) -> Document:
        """Say whose a face is; None: nobody's."""
        return self._client.send("PATCH", f"/v1/faces/{face_id}", body={"person_id": person_id})

    def reject(self, face_id: str, person_id: str) -> Document:
        """Remember that a face is not somebody; one that is theirs becomes nobody's."""
        return self._client.send("POST", f"/v1/faces/{face_id}/reject", body={"person_id": person_id})

    def take_back(self, face_id: str, person_id: str) -> Document:
        """Forget that a face is not somebody. Who else it is not."""
        return self._client.send("DELETE", f"/v1/faces/{face_id}/reject", query={"person_id": person_id})

    def delete(self, face_id: str, *, now: bool = False) -> Document:
        """Delete a face; ``erasure`` is the receipt."""
        return self._client.send("DELETE", f"/v1/faces/{face_id}", query={"now": now} if now else None)


class Imports(Nouns):
    """``client.imports``."""

    def open(self, source: str, *, faces: str = "largest", expected: int | None = None, sync: str | None = None) -> str:
        """A job to upload into; its id."""
        body = {"source": source[:1024], "faces": faces, "expected": expected, "sync": sync}
        return str(self._client.send("POST", "/v1/imports", body=body, patient=True)["job"])

    def upload(
        self, job: str, photos: Sequence[tuple[str, bytes]], labels: Sequence[Mapping[str, Any]]
    ) -> Sequence[Document]:
        """Photos, each with the name it is reported by and whom it shows; what became of each."""
        form = {"job": job, "labels": json.dumps(list(labels), ensure_ascii=False)}
        files = [("photo", photo) for photo in photos]
        answer = self._client.send("POST", "/v1/photos", form=form, named=files, patient=True)
        taken: Sequence[Document] = answer["items"]
        return taken

    def close(self, job: str) -> Document:
        """Say that all was sent."""
        return self._client.send("POST", f"/v1/imports/{job}/close", patient=True)


class Jobs(Nouns):
    """``client.jobs``."""

    def list(self) -> Iterator[Document]:
        """Jobs, newest first."""
        return self._client.pages("/v1/jobs", limit=50)

    def show(self, job: str) -> Document:
        """How far a job is."""
        return self._client.send("GET", f"/v1/jobs/{job}", patient=True)

    def wait(self, job: str, *, within_s: float = 600.0) -> Document:
        """A job at its end: done, failed or cancelled.

        Raises:
            Unavailable: It has not ended in time; it goes on.
        """
        until = time.monotonic() + within_s
        while (shown := self.show(job))["state"] not in _ENDS:
            if time.monotonic() > until:
                raise Unavailable(f"Job {job} has not ended within {within_s:g} s; it goes on.")
            time.sleep(_POLL_S)
        return shown

    def items(self, job: str, status: str | None = None) -> Iterator[Document]:
        """The photos of a job, and how each ended."""
        return self._client.pages(f"/v1/jobs/{job}/items", limit=500, status=status)

    def cancel(self, job: str) -> Document:
        """End what has not ended."""
        return self._client.send("POST", f"/v1/jobs/{job}/cancel")

    def retry(self, job: str) -> Document:
        """Work again on what was rejected or cancelled."""
        return self._client.send("POST", f"/v1/jobs/{job}/retry")


class Models(Nouns):
    """``client.models``."""

    def list(self) -> Sequence[Document]:
        """Every model."""
        found: Sequence[Document] = self._client.send("GET", "/v1/models")["items"]
        return found

    def show(self, model: str) -> Document:
        """One model, by id or name."""
        return self._client.send("GET", f"/v1/models/{model}")

    def add(self, file: Path, form: Mapping[str, str]) -> Document:
        """Bring a model along; a worker tries it. *form*: the fields of ``POST /v1/models``, ``name`` above all."""
        return self._client.send("POST", "/v1/models", form=form, photos=[("file", file)])

    def change(self, model: str, verb: str, body: Mapping[str, Any] | None = None) -> Document:
        """``activate``, ``retire`` or ``prune``."""
        return self._client.send("POST", f"/v1/models/{model}/{verb}", body=body)


class Rebuilds(Nouns):
    """``client.rebuilds``."""

    def create(self, model: str | None = None, **how: Any) -> Document:  # noqa: ANN401 - the fields of POST /v1/rebuilds
        """Make the collection anew under *model*, beside what is searched."""
        body = {"model": model, **how}
        made = self._client.send("POST", "/v1/rebuilds", body={k: v for k, v in body.items() if v is not None})
        return self.show(made["rebuild"])

    def list(self) -> Iterator[Document]:
        """Rebuilds, newest first."""
        return self._client.pages("/v1/rebuilds", limit=50)

    def show(self, rebuild: str) -> Document:
        """One rebuild: plan, progress, comparison."""
        return self._client.send("GET", f"/v1/rebuilds/{rebuild}", patient=True)

    def change(self, rebuild: str, verb: str, body: Mapping[str, Any] | None = None) -> Document:
        """``pause``, ``resume``, ``cancel``, ``switch`` or ``rollback``."""
        return self._client.send("POST", f"/v1/rebuilds/{rebuild}/{verb}", body=body)

    def findings(self, rebuild: str, kind: str | None = None) -> Iterator[Document]:
        """What could not simply be carried over."""
        return self._client.pages(f"/v1/rebuilds/{rebuild}/findings", limit=200, kind=kind)

    def decide(self, rebuild: str, number: int, candidate: str | None) -> Document:
        """Say which candidate an ambiguous face is; None: none of them."""
        path = f"/v1/rebuilds/{rebuild}/findings/{number}/decide"
        return self._client.send("POST", path, body={"candidate": candidate})

    def report(self, rebuild: str) -> bytes:
        """How it compares, as HTML to look at."""
        content: bytes = self._client.send("GET", f"/v1/rebuilds/{rebuild}/report")["content"]
        return content


class Keys(Nouns):
    """``client.keys``."""

    def list(self) -> Sequence[Document]:
        """Every key."""
        found: Sequence[Document] = self._client.send("GET", "/v1/keys")["items"]
        return found

    def create(self, name: str, scopes: Sequence[str], **more: Any) -> Document:  # noqa: ANN401
        """A new key; its secret is in the answer."""
        return self._client.send("POST", "/v1/keys", body={"name": name, "scopes": list(scopes), **more})

    def rotate(self, key_id: str, keep_old_for_h: float = 24.0) -> Document:
        """Another secret for a key, in the answer; the old one stays valid for so long."""
        body = {"keep_old_for_h": keep_old_for_h}
        return self._client.send("POST", f"/v1/keys/{key_id}/rotate", body=body)

    def revoke(self, key_id: str) -> Document:
        """End a key."""
        return self._client.send("DELETE", f"/v1/keys/{key_id}")


def whole(client: Service, path: str, how: Mapping[str, Any]) -> Document:
    """The first page of a list with the items of all others."""
    whole = page = client.send("GET", path, query={"limit": 100, **how}, patient=True)
    while page["next_cursor"] is not None:
        page = client.send("GET", path, query={"limit": 100, **how, "cursor": page["next_cursor"]}, patient=True)
        whole["items"] += page["items"]
    return {**whole, "next_cursor": None}
