"""What objects in the photo store are sealed with."""

from pydantic import Field, SecretStr

from services.settings.group import Group


class SealingSettings(Group):
    """Encryption at rest: photos, chips, thumbnails, snapshots, archives and reports (docs/security.md)."""

    wrapping_keys: SecretStr | None = Field(
        default=None,
        description="Keys of 256 bits in base64, newest first, under which the keys of all objects are kept. Whoever loses them "
        "loses every photo; they belong into another backup than the photos. Empty: objects are kept as they come.",
    )
    require_sealing: bool = Field(default=False, description="Whether to refuse to start without COLEGA_WRAPPING_KEYS.")
