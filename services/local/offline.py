"""What must work before there is a gateway: migrations and the first keys."""

from collections.abc import Sequence

from services.catalog import keys
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate as migrate_catalog
from services.settings import CatalogSettings, Environment, Home


def migrate(environment: Environment) -> str:
    """Bring the catalog to the present schema; its revision."""
    catalog = _catalog(environment)
    try:
        return migrate_catalog(catalog)
    finally:
        catalog.close()


def create_key(environment: Environment, name: str, scopes: Sequence[str]) -> str:
    """A new key in the catalog itself, shown once.

    Raises:
        InvalidRequest: A scope is unknown.
    """
    catalog = _catalog(environment)
    try:
        with catalog.transaction() as session:
            return keys.issue(session, name, scopes)[1]
    finally:
        catalog.close()


def _catalog(environment: Environment) -> Catalog:
    """The catalog that is named, or the one in the data folder that ``colega up`` uses."""
    settings = environment.load(CatalogSettings)
    if environment.names("catalog_url"):
        return Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
    path = environment.load(Home).data.absolute() / "catalog" / "catalog.sqlite"
    return Catalog(f"sqlite:///{path}", busy_s=settings.catalog_busy_s)
