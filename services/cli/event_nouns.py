"""The nouns of what happens: ``client.webhooks`` and ``client.live``."""

from collections.abc import Iterator, Sequence
from typing import Any

from services.cli.nouns import Nouns
from services.cli.service import Document


class Webhooks(Nouns):
    """``client.webhooks``."""

    def list(self) -> Sequence[Document]:
        """Every webhook."""
        found: Sequence[Document] = self._client.send("GET", "/v1/webhooks")["items"]
        return found

    def create(self, url: str, events: Sequence[str], collection: str | None = None) -> Document:
        """Have an address told of *events*, in one collection or in all; the secret is in the answer."""
        body = {"url": url, "events": [*events], "collection": collection}
        return self._client.send("POST", "/v1/webhooks", body=body)

    def show(self, webhook: str) -> Document:
        """One webhook."""
        return self._client.send("GET", f"/v1/webhooks/{webhook}")

    def test(self, webhook: str) -> str:
        """Send it one event; the event's id."""
        return str(self._client.send("POST", f"/v1/webhooks/{webhook}/test")["event"])

    def deliveries(self, webhook: str, state: str | None = None) -> Iterator[Document]:
        """What it was told and is to be told, newest first."""
        return self._client.pages(f"/v1/webhooks/{webhook}/deliveries", limit=100, state=state)

    def delete(self, webhook: str) -> None:
        """End it."""
        self._client.send("DELETE", f"/v1/webhooks/{webhook}")


class Live(Nouns):
    """``client.live``."""

    def match(self, camera: str, person_id: str, similarity: float, **more: Any) -> Document:  # noqa: ANN401 - the fields of POST /v1/live/matches
        """Have webhooks told that *camera* recognised somebody."""
        body = {"camera": camera, "person_id": person_id, "similarity": similarity, **more}
        return self._client.send("POST", "/v1/live/matches", body=body)
