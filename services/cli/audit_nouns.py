"""``client.audit``: who did what, and whether what is written of it is whole."""

from collections.abc import Iterator, Sequence
from typing import Any

from services.cli.nouns import Nouns
from services.cli.service import Document

_HEADS_AT_ONCE = 1000
_MOST_PROBLEMS = 100


class Audit(Nouns):
    """``client.audit``."""

    def list(self, **wanted: Any) -> Iterator[Document]:  # noqa: ANN401 - the query fields of GET /v1/audit
        """Entries, the latest first; of all collections where none is named."""
        return self._client.pages("/v1/audit", **{"collection": None, "limit": 500, **wanted})

    def verify(self, heads: Sequence[Document] = ()) -> Document:
        """Hash every entry anew, and compare with *heads* that were kept elsewhere: ``chain``, ``sequence`` and ``hash`` each."""
        whole: Document = {
            "sound": True, "chains": 0, "entries": 0, "pruned": 0, "unfinished": 0, "not_ended": [], "heads": len(heads),
            "problem_count": 0, "problems": [],
        }  # fmt: skip
        cursor = None
        while True:
            part = self._step({"cursor": cursor})
            _add(whole, part)
            whole["unfinished"], cursor = part["unfinished"], part["next_cursor"]
            if cursor is None:
                break
        for at in range(0, len(heads), _HEADS_AT_ONCE):
            _add(whole, self._step({"heads_only": True, "heads": list(heads[at : at + _HEADS_AT_ONCE])}))
        return {**whole, "sound": not whole["problem_count"]}

    def _step(self, body: Document) -> Document:
        return self._client.send("POST", "/v1/audit/verify", body=body, query={"collection": None}, patient=True)


def _add(whole: Document, part: Document) -> None:
    for name in ("chains", "entries", "pruned", "problem_count", "not_ended"):
        whole[name] += part[name]
    whole["problems"] = [*whole["problems"], *part["problems"]][:_MOST_PROBLEMS]
