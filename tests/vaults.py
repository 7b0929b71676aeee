"""Vaults over the servers of a test, with the wrapping key that processes are given by ``Stack.photo_settings``."""

import base64

from pydantic import SecretStr

from services.catalog.engine import Catalog
from services.photos.store import PhotoStore
from services.photos.wrapping import Wrapping
from services.vault import Vault

WRAPPING_KEY = base64.b64encode(bytes(range(32))).decode()


def sealed(store: PhotoStore, catalog: Catalog, keys: str = WRAPPING_KEY) -> Vault:
    """A vault that seals, with these wrapping keys."""
    return Vault(store, catalog, Wrapping.of(SecretStr(keys)))


def plain(store: PhotoStore, catalog: Catalog) -> Vault:
    """A vault without a wrapping key: what is put is kept as it comes."""
    return Vault(store, catalog, None)
