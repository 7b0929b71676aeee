"""Settings of erasing."""

from pydantic import Field, PositiveFloat

from services.settings.group import Group


class Erasing(Group):
    """By when nothing is left anywhere of whoever was erased."""

    erase_within_h: PositiveFloat = Field(
        default=24.0,
        description="Within so long nothing of who or what was deleted is left anywhere (docs/erasure.md).",
    )
    photos_vacuum_url: str = Field(
        default="",
        description="Where the store is SeaweedFS, its master, such as http://seaweedfs:9333: asked to free deleted bytes. Empty: "
        "a store that frees them by itself.",
    )
