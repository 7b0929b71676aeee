"""A certificate and its key."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files in PEM, by which a service speaks TLS."""

    certificate: Path
    key: Path
    is_ours: bool
    """Made here, and vouched for by nobody."""
