"""The photo store of a service on this machine, opened with the wrapping key of its data folder."""

from pathlib import Path

from pydantic import SecretStr

from services.catalog.engine import Catalog
from services.local import seaweedfs
from services.local.instance import WRAPPING_KEY, Instance
from services.photos.wrapping import Wrapping
from services.vault import Vault


def vault(data: Path, catalog: Catalog) -> Vault:
    """The store of *data*, by the keys that *catalog* has."""
    given = Wrapping.of(SecretStr((data / WRAPPING_KEY).read_text("ascii")))
    return Vault(seaweedfs.store(Instance.read(data)), catalog, given)
