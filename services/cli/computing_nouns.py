"""The nouns of collections and of what workers compute: ``client.collections``, ``client.evaluations`` and so on."""

from collections.abc import Iterator, Sequence
from typing import Any

from services.cli.nouns import Nouns
from services.cli.service import Document


class Collections(Nouns):
    """``client.collections``."""

    def list(self) -> Sequence[Document]:
        """Every collection that the key may touch."""
        found: Sequence[Document] = self._client.send("GET", "/v1/collections")["items"]
        return found

    def show(self, name: str) -> Document:
        """One collection: its model, and how much is in it."""
        return self._client.send("GET", f"/v1/collections/{name}")

    def create(self, name: str, **more: Any) -> Document:  # noqa: ANN401 - basis, retention_days
        """A new, empty collection."""
        return self._client.send("POST", "/v1/collections", body={"name": name, **more})

    def change(self, name: str, **what: Any) -> Document:  # noqa: ANN401
        """Another ``basis`` (as a whole) or ``retention_days``; None takes it away."""
        return self._client.send("PATCH", f"/v1/collections/{name}", body=what)

    def confirm_retention(self, name: str, people: int) -> Document:
        """Have so many people erased whose time is over, which maintenance holds back as too many at once."""
        return self._client.send("POST", f"/v1/collections/{name}/retention/confirm", body={"people": people})

    def delete(self, name: str) -> Document:
        """Delete an empty collection."""
        return self._client.send("DELETE", f"/v1/collections/{name}")


class Evaluations(Nouns):
    """``client.evaluations``."""

    def create(self, **how: Any) -> str:  # noqa: ANN401 - the fields of POST /v1/evaluations
        """Measure the active model; the job."""
        return str(self._client.send("POST", "/v1/evaluations", body=how)["job"])

    def list(self) -> Iterator[Document]:
        """Evaluations, newest first."""
        return self._client.pages("/v1/evaluations", limit=50)

    def show(self, evaluation: str) -> Document:
        """One evaluation: what was measured."""
        return self._client.send("GET", f"/v1/evaluations/{evaluation}")

    def report(self, evaluation: str) -> bytes:
        """The same as HTML to look at."""
        content: bytes = self._client.send("GET", f"/v1/evaluations/{evaluation}/report")["content"]
        return content


class Calibrations(Nouns):
    """``client.calibrations``."""

    def create(self, **how: Any) -> str:  # noqa: ANN401 - the fields of POST /v1/calibrations
        """Fit thresholds to the people of the collection; the job."""
        return str(self._client.send("POST", "/v1/calibrations", body=how)["job"])

    def show(self) -> Document:
        """The collection's calibration."""
        return self._client.send("GET", "/v1/calibrations")


class Trainings(Nouns):
    """``client.trainings``."""

    def create(self, **how: Any) -> str:  # noqa: ANN401 - the fields of POST /v1/trainings
        """Train on the collection; the job."""
        return str(self._client.send("POST", "/v1/trainings", body=how)["job"])


class Checks(Nouns):
    """``client.checks``."""

    def create(self, **how: Any) -> str:  # noqa: ANN401 - the fields of POST /v1/checks
        """See whether what is kept agrees; the job."""
        return str(self._client.send("POST", "/v1/checks", body=how)["job"])

    def list(self) -> Iterator[Document]:
        """Checks, newest first."""
        return self._client.pages("/v1/checks", limit=50)


class Backups(Nouns):
    """``client.backups``."""

    def create(self, **how: Any) -> str:  # noqa: ANN401 - the fields of POST /v1/backups
        """Back everything up where the service's settings say; the job."""
        return str(self._client.send("POST", "/v1/backups", body=how)["job"])

    def list(self) -> Iterator[Document]:
        """Backups that were completed, newest first."""
        return self._client.pages("/v1/backups", limit=50)
