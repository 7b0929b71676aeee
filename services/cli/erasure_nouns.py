"""The noun of erasures: ``client.erasures``."""

import time
from collections.abc import Iterator
from typing import Literal

from services.cli.nouns import Nouns
from services.cli.service import Document

_POLL_S = 0.5


class Erasures(Nouns):
    """``client.erasures``: receipts for what was deleted for good."""

    def list(
        self, *, state: Literal["open", "closed", "all"] = "all", person_id: str | None = None
    ) -> Iterator[Document]:
        """Erasures, the latest first; open ones, closed ones, or all; of one person or of everybody."""
        return self._client.pages("/v1/erasures", state=state, person_id=person_id, limit=200)

    def show(self, erasure_id: str) -> Document:
        """One receipt: what is gone, and what will be by when."""
        return self._client.send("GET", f"/v1/erasures/{erasure_id}")

    def hasten(self, erasure_id: str) -> Document:
        """Have all that is left of it done now."""
        return self._client.send("POST", f"/v1/erasures/{erasure_id}/hasten")

    def wait(self, erasure_id: str, within_s: float) -> Document:
        """The receipt when it is closed, or as it is after *within_s* seconds."""
        give_up_at = time.monotonic() + within_s
        receipt = self.show(erasure_id)
        while receipt["closed_at"] is None and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            receipt = self.show(erasure_id)
        return receipt
