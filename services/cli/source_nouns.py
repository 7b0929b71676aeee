"""The nouns of sources, what a collection is kept in step with, and of privacy: ``client.sources`` and ``client.privacy``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.cli.nouns import Nouns
from services.cli.service import Document


class Sources(Nouns):
    """``client.sources``."""

    def list(self) -> Sequence[Document]:
        """The sources of the collection."""
        found: Sequence[Document] = self._client.send("GET", "/v1/sources")["items"]
        return found

    def ensure(self, name: str) -> Document:
        """The source of that name, made where there is none."""
        return self._client.send("POST", "/v1/sources", body={"name": name}, patient=True)

    def files(self, source: str) -> Iterator[Document]:
        """What was seen in it."""
        return self._client.pages(f"/v1/sources/{source}/files", limit=2000)

    def begin(self, source: str, holder: str, *, instead_of: str | None = None) -> Document:
        """Bring it in step, alone; again every few seconds."""
        return self._ask(source, "begin", holder, instead_of=instead_of)

    def end(self, source: str, holder: str) -> Document:
        """All of it was seen."""
        return self._ask(source, "end", holder)

    def note(self, source: str, holder: str, files: Sequence[Mapping[str, Any]]) -> Document:
        """Remember files that were read and not sent, or that are known and told of otherwise."""
        return self._ask(source, "files", holder, files=list(files))

    def release(self, source: str, holder: str, paths: Sequence[str]) -> Document:
        """Forget files, and delete their photos where nobody else needs them."""
        return self._ask(source, "release", holder, paths=list(paths))

    def leave(self, source: str, holder: str, people: Sequence[str], *, of: int, confirmed: bool) -> Document:
        """Erase people who are no longer there, unless they have photos from elsewhere."""
        return self._ask(source, "leave", holder, people=list(people), of=of, confirmed=confirmed)

    def settle(self, source: str, holder: str) -> Document:
        """Delete photos of files as they were before; again until there are none."""
        return self._ask(source, "settle", holder)

    def delete(self, source: str) -> Document:
        """Forget it; whom it brought stays."""
        return self._client.send("DELETE", f"/v1/sources/{source}")

    def _ask(self, source: str, verb: str, holder: str, **more: Any) -> Document:  # noqa: ANN401
        return self._client.send("POST", f"/v1/sources/{source}/{verb}", body={"holder": holder, **more}, patient=True)


class Privacy(Nouns):
    """``client.privacy``."""

    def report(self) -> Document:
        """What an impact assessment needs."""
        return self._client.send("GET", "/v1/privacy/report")

    def written(self, how: str) -> str:
        """The same to be read: ``text``, ``md`` or ``html``."""
        content: bytes = self._client.send("GET", "/v1/privacy/report", query={"format": how})["content"]
        return content.decode()
