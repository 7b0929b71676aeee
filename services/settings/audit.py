"""What is written down of who did what, and for how long."""

from pydantic import Field, NonNegativeInt

from services.settings.group import Group


class Auditing(Group):
    """Who did what: docs/audit.md."""

    audit: bool = Field(
        default=True,
        description="Whether searches, changes, exports and sign-ins are audited; off only to measure the cost.",
    )
    audit_days: NonNegativeInt = Field(default=365, description="What was audited is removed after this; 0: never.")
