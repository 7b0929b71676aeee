"""When processes of this machine began: what tells one from a later one that has its number."""

from pathlib import Path


def started_at(pid: int) -> str:
    """When a process began, in the kernel's ticks; a process id alone is used again. Empty: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
