"""What every benchmark shares: the machine it ran on, one core to run on, and one document to end with."""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "onnxruntime", "pillow", "faiss-cpu")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, beside the peer's where there is one. ``ratio`` says how many times better ours is."""

    case: str
    metric: str
    value: float | None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system, and the versions of what computes."""
    info = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "")
    flags = next((line.split(":", 1)[1].split() for line in info.splitlines() if line.startswith("flags")), [])
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20,
        "instructions": [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in flags],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "load": round(os.getloadavg()[0], 2),
    }


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take: ``--json FILE`` and ``--quick``."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    made.add_argument("--quick", action="store_true", help="a few photos only: to see that it runs, not what it says")
    return made


def pin() -> int:
    """Keep this process on one core, the last it may use, and say which."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def finish(
    rows: Sequence[Row],
    file: Path | None,
    *,
    machine: dict[str, Any],
    notes: Sequence[str] = (),
    parts: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Print *rows* as a table with the machine and the command above, and write them to *file* if there is one.

    Where the rows come in *parts*, each with its ``rows``, each is a table of its own, and the file has them, too.
    """
    started = Path(sys.argv[0])
    module = started.parent.name if started.stem == "__main__" else started.stem
    command = shlex.join(["python", "-m", f"benchmarks.{module}", *sys.argv[1:]])
    print(f"\n{machine['processor']}, {machine['cores']} cores, {' '.join(machine['instructions'])}\n$ {command}")
    for note in notes:
        print(f"  {note}")
    if parts is None:
        print(tables(rows))
    for name, part in (parts or {}).items():
        if part["rows"]:
            print(f"\n{name}\n\n{tables([Row(**row) for row in part['rows']])}")
    if file is not None:
        document = {"machine": machine, "command": command, "notes": list(notes), "rows": [asdict(row) for row in rows]}
        document |= {"parts": parts} if parts is not None else {}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def tables(rows: Sequence[Row]) -> str:
    """Rows beside a peer line by line; the others as cases by metrics, the longer of the two downwards."""
    beside = [row for row in rows if row.peer is not None]
    alone = [row for row in rows if row.peer is None]
    tables: list[str] = []
    if beside:
        head = ["case", "metric", "value", "peer", "peer's value", "ratio"]
        lines = [
            [r.case, r.metric, _number(r.value), r.peer or "", _number(r.peer_value), _number(r.ratio)] for r in beside
        ]
        tables.append(_table(head, lines))
    if alone:
        cases, metrics = (
            list(dict.fromkeys(names)) for names in zip(*((r.case, r.metric) for r in alone), strict=True)
        )
        values = {(row.case, row.metric): _number(row.value) for row in alone}
        if len(metrics) > len(cases):
            lines = [[metric, *(values.get((case, metric), "") for case in cases)] for metric in metrics]
            tables.append(_table(["", *cases], lines))
        else:
            lines = [[case, *(values.get((case, metric), "") for metric in metrics)] for case in cases]
            tables.append(_table(["", *metrics], lines))
    return "\n\n".join(tables)


def _table(head: list[str], lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, rule, *lines))
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
