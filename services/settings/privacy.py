"""Settings of what the law asks for."""

from pydantic import Field

from services.settings.group import Group


class Privacy(Group):
    """What must be recorded before somebody is enrolled, and how carefully those whose time is over are erased."""

    require_basis: bool = Field(
        default=False,
        description="Whether enrolment is refused in collections without a lawful basis and, where that is consent, of people "
        "without theirs (docs/privacy.md).",
    )
    retention_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Retention erases more than this share of a collection's people at once only when somebody has confirmed it.",
    )
