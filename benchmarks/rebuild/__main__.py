"""Rebuilds: how fast, beside what they could be at best; under load; killed; and the whole real case.

    python -m benchmarks.rebuild [--json FILE] [--quick] [--only PART,PART] [--missing] [--folder FOLDER] [--tuned BUNDLE]

The gallery is ``lfw_dev``, imported once under casia-webface into FOLDER; each part starts ``colega up`` over a copy of it.
A part's figures are written to FILE as soon as it ends, in the place of its earlier ones; ``--missing`` runs what FILE has not
yet. The real case trains a model of the gallery's faces, unless ``--tuned`` names the folder of one.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.machine import Row
from benchmarks.parts import circumstances, kept
from benchmarks.rebuild import case, killing, paper, rates, stages, switching
from benchmarks.rebuild.asked import Asked, Part

PARTS: Mapping[str, Part] = {
    "rates": rates.told,
    "stages": stages.told,
    "again": rates.again,
    "workers": rates.workers,
    "switching": switching.told,
    "killing": killing.told,
    "case": case.told,
    "paper": paper.told,
}
"""In the order in which they run."""

_FOLDER = Path(__file__).resolve().parents[1] / "results" / "rebuild"


def main() -> None:
    """Run the parts that were asked for, and print the figures of all that are there."""
    parser = machine.parser(__doc__)
    parser.add_argument("--only", metavar="PARTS", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--missing", action="store_true", help="only parts that the file has no figures of")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where the gallery is kept and services run")
    parser.add_argument(
        "--tuned", type=Path, metavar="BUNDLE", help="a fine-tuned model's folder, in place of training one"
    )
    asked = parser.parse_args()
    chosen = asked.only.split(",") if asked.only else list(PARTS)
    if unknown := set(chosen) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    described, failed = machine.describe(), []
    parts = kept(asked.json, quick=asked.quick)
    for name in PARTS:
        if name not in chosen or (asked.missing and name in parts):
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            parts[name] = _run(PARTS[name], Asked(asked.folder.resolve(), asked.quick, asked.tuned, parts))
        except (Exception, SystemExit):  # noqa: BLE001 - the other parts are worth having
            traceback.print_exc()
            failed.append(name)
            continue
        if asked.json is not None:
            asked.json.parent.mkdir(parents=True, exist_ok=True)
            asked.json.write_text(json.dumps({"parts": parts}, ensure_ascii=False), "utf-8")
    parts = {name: parts[name] for name in PARTS if name in parts}
    notes = [f"{name}: {note}" for name, part in parts.items() for note in (circumstances(part), *part["notes"])]
    rows = [Row(**row) for part in parts.values() for row in part["rows"]]
    machine.finish(rows, asked.json, machine=described, notes=notes, parts=parts)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}. Run again with --missing: what ended well is kept.")


def _run(part: Part, asked: Asked) -> dict[str, Any]:
    started, load = time.perf_counter(), os.getloadavg()[0]
    told = part(asked)
    return {
        "quick": asked.quick,
        "seconds": round(time.perf_counter() - started, 1),
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "notes": list(told.notes),
        "rows": [asdict(row) for row in told.rows],
    }


if __name__ == "__main__":
    main()
