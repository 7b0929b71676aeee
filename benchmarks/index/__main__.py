"""The index: recall, latency and its peers, building, starting, changing, and what it costs to be idle.

    python -m benchmarks.index [--json FILE] [--quick] [--only PART,PART] [--missing] [--long]
                               [--folder FOLDER] [--peer-python PATH]

Each part runs in a process of its own and takes up to ten minutes; those of ``--long`` up to an hour. A part's figures
are written to FILE as soon as it ends, in the place of its earlier ones; ``--missing`` runs what FILE has not yet.
Vectors are made (``population``) as those of ``lfw_dev`` are spread; the galleries stay in FOLDER for the next time.

hnswlib and usearch want a virtual environment of their own: ``pip install hnswlib usearch numpy``. pgvector comes with the
PostgreSQL that the tests use.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.index.part import LONG, PARTS
from benchmarks.machine import Row
from benchmarks.parts import circumstances, kept

_FOLDER = Path(__file__).resolve().parents[1] / "results" / "index"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    """Run the parts that were asked for, and print the figures of all that are there."""
    parser = machine.parser(__doc__)
    parser.add_argument("--only", metavar="PARTS", help=f"some of {', '.join((*PARTS, *LONG))}")
    parser.add_argument("--missing", action="store_true", help="only parts that the file has no figures of")
    parser.add_argument("--long", action="store_true", help="also the parts that take an hour")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where galleries and indexes are kept meanwhile")
    parser.add_argument("--peer-python", type=Path, metavar="PATH", help="Python with hnswlib and usearch")
    asked = parser.parse_args()
    chosen = asked.only.split(",") if asked.only else [*PARTS, *(LONG if asked.long else ())]
    if unknown := set(chosen) - {*PARTS, *LONG}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    described = machine.describe()
    parts = kept(asked.json, quick=asked.quick)
    failed = []
    for name in (*PARTS, *LONG):
        if name not in chosen or (asked.missing and name in parts):
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        told = _run(name, asked.folder.resolve(), asked.peer_python, quick=asked.quick, long=asked.long)
        if told is None:
            failed.append(name)
            continue
        parts[name] = told
        if asked.json is not None:
            asked.json.parent.mkdir(parents=True, exist_ok=True)
            asked.json.write_text(json.dumps({"parts": parts}, ensure_ascii=False), "utf-8")
    parts = {name: parts[name] for name in (*PARTS, *LONG) if name in parts}
    notes = [f"{name}: {note}" for name, part in parts.items() for note in (circumstances(part), *part["notes"])]
    rows = [Row(**row) for part in parts.values() for row in part["rows"]]
    machine.finish(rows, asked.json, machine=described, notes=notes, parts=parts)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}. Run again with --missing: what ended well is kept.")


def _run(name: str, folder: Path, peer_python: Path | None, *, quick: bool, long: bool) -> dict[str, Any] | None:
    """The figures of a part; None where it failed."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [sys.executable, "-m", "benchmarks.index.part", name, "--out", out.name, "--folder", str(folder)]
        command += ["--peer-python", str(peer_python)] if peer_python is not None else []
        command += [option for option, is_on in (("--quick", quick), ("--long", long)) if is_on]
        if subprocess.run(command, check=False, env={**os.environ, **_ONE_THREAD}).returncode != 0:
            return None
        told: dict[str, Any] = json.loads(Path(out.name).read_text("utf-8"))
    return told


if __name__ == "__main__":
    main()
