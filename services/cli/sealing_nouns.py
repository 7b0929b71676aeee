"""``client.sealing``."""

from services.cli.nouns import Nouns
from services.cli.service import Document


class Sealing(Nouns):
    """Encryption of what is kept."""

    def show(self) -> Document:
        """Whether it is encrypted, and how many keys are under which wrapping key."""
        return self._client.send("GET", "/v1/sealing")

    def rewrap(self) -> Document:
        """Wrap some keys anew under the newest wrapping key; ask again until none is ``left``."""
        return self._client.send("POST", "/v1/sealing/rewrap")
