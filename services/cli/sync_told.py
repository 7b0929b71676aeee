"""What a synchronisation was asked for, and what it tells."""

from dataclasses import dataclass, field
from pathlib import Path

from services.cli.importing import Outcomes
from services.cli.service import Document
from services.sources.layouts import Layout


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    source: Path
    name: str
    layout: Layout = Layout.AUTO
    faces: str = "largest"
    remove_missing: bool = False
    dry_run: bool = False
    yes: bool = False


@dataclass(slots=True)
class Told:
    """What was done; of a dry run, what would be."""

    wanted: Wanted
    outcomes: Outcomes
    missing: list[Document] = field(default_factory=list)
    """People who are no longer there: ``id``, ``name``, ``external_id``, and ``end``: ``listed``, ``erased`` or ``stays``."""
    new: int = 0
    changed: int = 0
    """Files that were to be read."""
    updated: list[Document] = field(default_factory=list)
    """People of whom something else is said: ``id``, ``name``, and ``detail`` where it could not be written."""

    def summary(self) -> Document:
        """Counts, and lists of people."""
        counted = self.outcomes.counted()
        ends = ("unchanged", "done", "duplicate", "renamed", "rejected", "skipped", "erased", "missing", "removed")
        reasons: dict[str, int] = {}
        for line in self.outcomes.lines:
            if line.status == "rejected":
                reasons[line.reason] = reasons.get(line.reason, 0) + 1
        return {
            "source": self.wanted.name,
            "dry_run": self.wanted.dry_run,
            "job": self.outcomes.job or None,
            "files": sum(line.status not in {"missing", "removed"} for line in self.outcomes.lines),
            "new": self.new,
            "changed": self.changed,
            **{end: counted.get(end, 0) for end in ends},
            "reasons": reasons,
            "people": {"missing": self.missing, "updated": self.updated},
        }
