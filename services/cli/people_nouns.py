"""The noun of people: ``client.people``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from services.cli.nouns import Nouns, whole
from services.cli.service import Document


class People(Nouns):
    """``client.people``."""

    def list(self, query: str = "", *, sort: str = "name") -> Iterator[Document]:
        """People, ``name``, ``newest``, ``most_faces`` or ``fewest_faces`` first; *query* is searched for in name and external id."""
        return self._client.pages("/v1/people", query=query, sort=sort, limit=200)

    def named(self, name: str) -> Sequence[Document]:
        """Everyone of exactly that name."""
        found: Sequence[Document] = self._client.send("GET", "/v1/people", query={"name": name})["items"]
        return found

    def show(self, person_id: str) -> Document:
        """One person with their faces."""
        return self._client.send("GET", f"/v1/people/{person_id}")

    def add(
        self,
        name: str,
        photos: Sequence[Path],
        *,
        external_id: str | None = None,
        **terms: str,
    ) -> Document:
        """A new person with photos; the answer names the job after which they are found.

        *terms*: ``consent_given_at``, ``consent_notice``, ``expires_at``.
        """
        form = {"name": name, **terms} | ({} if external_id is None else {"external_id": external_id})
        return self._client.send("POST", "/v1/people", form=form, photos=[("photo", photo) for photo in photos])

    def add_photos(self, person_id: str, photos: Sequence[Path]) -> Document:
        """More photos of a person."""
        files = [("photo", photo) for photo in photos]
        return self._client.send("POST", f"/v1/people/{person_id}/photos", photos=files)

    def rename(self, person_id: str, name: str) -> Document:
        """Another name."""
        return self._client.send("PATCH", f"/v1/people/{person_id}", body={"name": name})

    def consents(self, person_id: str) -> Document:
        """What a person has agreed to, and when."""
        return self._client.send("GET", f"/v1/people/{person_id}/consent")

    def consent(self, person_id: str, **given: str) -> Document:
        """Record that a person has agreed: ``given_at``, ``notice``, ``text``."""
        return self._client.send("POST", f"/v1/people/{person_id}/consent", body=given)

    def withdraw(self, person_id: str) -> Document:
        """A person withdraws their consent: they are erased."""
        return self._client.send("DELETE", f"/v1/people/{person_id}/consent")

    def change(self, person_id: str, **what: Any) -> Document:  # noqa: ANN401 - name, external_id, attributes, expires_at
        """Another name, external id or end, or other attributes."""
        return self._client.send("PATCH", f"/v1/people/{person_id}", body=what)

    def merge(self, person_id: str, into: str) -> Document:
        """All faces of a person to another, who remains; the answer's ``merge`` undoes it."""
        return self._client.send("POST", f"/v1/people/{person_id}/merge", body={"into": into})

    def merges(self, person_id: str | None = None) -> Iterator[Document]:
        """Merges that can be undone or were, the latest first; into one person or into any."""
        return self._client.pages("/v1/merges", person_id=person_id, limit=200)

    def undo(self, merge: str) -> Document:
        """Bring back who was merged away."""
        return self._client.send("POST", f"/v1/merges/{merge}/undo")

    def delete(self, person_id: str, *, now: bool = False) -> Document:
        """Erase a person; ``erasure`` is the receipt. *now*: all of it, and not within the time that the service gives itself."""
        return self._client.send("DELETE", f"/v1/people/{person_id}", query={"now": now} if now else None)

    def alike(self, **how: Any) -> Document:  # noqa: ANN401 - the query fields of GET /v1/people/alike
        """Pairs of people who look alike, most similar first; waits while they are being compared."""
        return whole(self._client, "/v1/people/alike", how)

    def export(self, person_id: str, *, others: str = "included") -> bytes:
        """Everything held about a person, as a zip; with *others* ``left_out`` no photo that shows anybody else."""
        path = f"/v1/people/{person_id}/export"
        content: bytes = self._client.send("GET", path, query={"others": others})["content"]
        return content
