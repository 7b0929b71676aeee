"""A typed client of the HTTP interface, with its nouns: ``Client(url, key).people.add("Ana", [Path("ana.jpg")])``.

Answers are the JSON documents of the API as dictionaries. A refusal raises :class:`services.cli.service.ServiceError` with
the service's own sentence; a service that does not answer raises :class:`services.cli.service.Unreachable`.
"""

import ssl
from pathlib import Path
from typing import Any, cast

from services.cli import (
    audit_nouns,
    computing_nouns,
    erasure_nouns,
    event_nouns,
    importing,
    nouns,
    people_nouns,
    sealing_nouns,
    source_nouns,
)
from services.cli.answers import DetectAnswer, FaceSearchAnswer, RepresentAnswer, SearchAnswer, VerifyAnswer
from services.cli.service import Document, Service
from services.errors import InvalidRequest


class Imports(nouns.Imports):
    """``client.imports``."""

    def create(self, path: Path) -> Document:
        """Import a directory, an archive or a manifest, wait for its end, and return the summary."""
        return importing.run(self._client, path).summary()


class Client(Service):
    """The service at *url*, with *key*, about *collection*. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        collection: str = "default",
        timeout_s: float = 120.0,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(url, key, collection=collection, timeout_s=timeout_s, trust=trust)
        self.people = people_nouns.People(self)
        self.photos = nouns.Photos(self)
        self.faces = nouns.Faces(self)
        self.imports = Imports(self)
        self.sources = source_nouns.Sources(self)
        self.privacy = source_nouns.Privacy(self)
        self.erasures = erasure_nouns.Erasures(self)
        self.jobs = nouns.Jobs(self)
        self.models = nouns.Models(self)
        self.rebuilds = nouns.Rebuilds(self)
        self.keys = nouns.Keys(self)
        self.sealing = sealing_nouns.Sealing(self)
        self.collections = computing_nouns.Collections(self)
        self.evaluations = computing_nouns.Evaluations(self)
        self.calibrations = computing_nouns.Calibrations(self)
        self.trainings = computing_nouns.Trainings(self)
        self.checks = computing_nouns.Checks(self)
        self.backups = computing_nouns.Backups(self)
        self.audit = audit_nouns.Audit(self)
        self.webhooks = event_nouns.Webhooks(self)
        self.live = event_nouns.Live(self)

    def search(self, photo: Path, **how: Any) -> SearchAnswer:  # noqa: ANN401 - the query fields of POST /v1/search
        """Who is in *photo*."""
        return cast("SearchAnswer", self.send("POST", "/v1/search", query=how, photos=[("photo", photo)]))

    def search_face(self, face_id: str, **how: Any) -> FaceSearchAnswer:  # noqa: ANN401
        """Whom a kept face is like."""
        return cast("FaceSearchAnswer", self.send("POST", "/v1/search", query=how, body={"face_id": face_id}))

    def verify(
        self,
        a: Path,
        b: Path | None = None,
        *,
        person_id: str | None = None,
        **how: Any,  # noqa: ANN401 - the query fields of POST /v1/verify
    ) -> VerifyAnswer:
        """Whether two photos, or a photo and a person, show the same."""
        if (b is None) == (person_id is None):
            raise InvalidRequest("verify: give a second photo or a person_id, not both.")
        photos = [("photo", a)] if b is None else [("a", a), ("b", b)]
        form = None if person_id is None else {"person_id": person_id}
        return cast("VerifyAnswer", self.send("POST", "/v1/verify", query=how, form=form, photos=photos))

    def verify_faces(self, face_id_a: str, face_id_b: str, **how: Any) -> VerifyAnswer:  # noqa: ANN401
        """Whether two kept faces are one person's."""
        body = {"face_id_a": face_id_a, "face_id_b": face_id_b}
        return cast("VerifyAnswer", self.send("POST", "/v1/verify", query=how, body=body))

    def detect(self, photo: Path, **how: Any) -> DetectAnswer:  # noqa: ANN401
        """Where the faces of *photo* are."""
        return cast("DetectAnswer", self.send("POST", "/v1/detect", query=how, photos=[("photo", photo)]))

    def represent(self, photo: Path) -> RepresentAnswer:
        """The embeddings of the faces of *photo*, where they are given out."""
        return cast("RepresentAnswer", self.send("POST", "/v1/represent", photos=[("photo", photo)]))

    def status(self) -> Document:
        """What runs, and how far it is."""
        return self.send("GET", "/v1/status")
