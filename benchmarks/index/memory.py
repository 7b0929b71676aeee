"""Memory of this process, by where it lies."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes that are resident."""

    own_mb: float
    """Of its own: heap and stacks."""
    mapped_mb: float
    """Of files that are mapped, which the system may take back at any time."""

    def __sub__(self, other: "Memory") -> "Memory":
        return Memory(self.own_mb - other.own_mb, self.mapped_mb - other.mapped_mb)


def resident() -> Memory:
    """Now."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    fields = {name: value for name, _, value in (line.partition(":") for line in lines)}
    own, mapped = (int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return Memory(own, mapped)
