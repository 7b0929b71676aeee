"""Vitals: what a process tells of itself beside its work: its memory, its disk and its GPU."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SMI = ["nvidia-smi", "--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]
_SMI_WITHIN_S, _ASKED_EVERY_S = 5.0, 30.0
_STOPPED = {"T", "t"}
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def of_child(data: Path, parent: int) -> dict[str, Any]:
    """Of a worker's child: its own, and the memory of the parent, which several children name alike."""
    return {**of_process(data), "parent": [parent, resident_bytes(parent)]}


def of_process(data: Path) -> dict[str, Any]:
    """Resident memory, disk of *data*, and the GPUs that this process uses, in bytes."""
    told: dict[str, Any] = {"resident_bytes": resident_bytes(os.getpid())}
    with suppress(OSError):
        usage = shutil.disk_usage(data)
        told["disk"] = {"free_bytes": usage.free, "total_bytes": usage.total}
    if gpus := _gpus():
        told["gpus"] = gpus
    return told


def resident_bytes(pid: int) -> int:
    """What a process has in memory, pages that it shares among them; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by SIGSTOP or a debugger."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] in _STOPPED
    except (OSError, IndexError):
        return False


def _gpus() -> list[dict[str, int]]:
    """Used and total memory of each GPU, where this process computes on one."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        seen = [torch.cuda.mem_get_info(number) for number in range(torch.cuda.device_count())]
        return [
            {"gpu": n, "used_bytes": int(total - free), "total_bytes": int(total)}
            for n, (free, total) in enumerate(seen)
        ]
    faiss: Any = sys.modules.get("faiss")
    if faiss is None or not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return []
    return _told_by_driver()


def _told_by_driver() -> list[dict[str, int]]:
    """By the driver's own command, which takes a moment; asked at most twice a minute."""
    if time.monotonic() - _asked.at > _ASKED_EVERY_S:
        _asked.at, _asked.found = time.monotonic(), []
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            said = subprocess.run(_SMI, capture_output=True, text=True, check=True, timeout=_SMI_WITHIN_S).stdout
            _asked.found = [_row(line) for line in said.splitlines() if line.strip()]
    return _asked.found


def _row(line: str) -> dict[str, int]:
    number, used, total = (int(part) for part in line.split(","))
    return {"gpu": number, "used_bytes": used * 2**20, "total_bytes": total * 2**20}


@dataclass
class _Asked:
    """What the driver has said last."""

    at: float = -1e9
    found: list[dict[str, int]] = field(default_factory=list)


_asked = _Asked()
