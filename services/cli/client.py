"""A typed client of the HTTP interface, with its nouns: ``Client(url, key).people.add("Ana", [Path("ana.jpg")])``.

Answers are the JSON documents of the API as dictionaries. A refusal raises :class:`services.cli.service.ServiceError` with
the service's own sentence; a service that does not answer raises :class:`services.cli.service.Unreachable`.
"""

from pathlib import Path
from typing import Any

from services.cli import importing, nouns
from services.cli.service import Document, Service


class Imports(nouns.Imports):
    """``client.imports``."""

    def create(self, path: Path) -> Document:
        """Import a directory, an archive or a manifest, wait for its end, and return the summary."""
        return importing.run(self._client, path).summary()


class Client(Service):
    """The service at *url*, with *key*, about *collection*. Safe to share between threads."""

    def __init__(self, url: str, key: str, *, collection: str = "default", timeout_s: float = 120.0) -> None:
        super().__init__(url, key, collection=collection, timeout_s=timeout_s)
        self.people = nouns.People(self)
        self.photos = nouns.Photos(self)
        self.faces = nouns.Faces(self)
        self.imports = Imports(self)
        self.jobs = nouns.Jobs(self)
        self.models = nouns.Models(self)
        self.rebuilds = nouns.Rebuilds(self)
        self.keys = nouns.Keys(self)

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
