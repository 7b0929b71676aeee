"""Random faults under load: what was lost, doubled, named wrongly or came back, and how soon all was well again.

Four runs of fifty faults, two on PostgreSQL and two on SQLite; the seed is the run's number. See ``tests/faults``.
"""

import statistics
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import datasets
from benchmarks.machine import Row, describe, finish, parser
from tests.faults import running_through
from tests.faults.running_through import Result

_LONGEST_S = 30.0


def main() -> None:
    """Run everything and print one table."""
    made = parser(__doc__)
    made.add_argument("--run", type=int, action="append", metavar="N", help="only this one of the four; again for more")
    made.add_argument("--faults", type=int, default=50, help="faults of a run")
    asked = made.parse_args()
    machine, rows, told = describe(), [], Counter[str]()
    people = [folder for folder in sorted((datasets.DATA / "lfw_dev").iterdir()) if folder.is_dir()]
    newcomers = [min(person.glob("*.jpg")) for person in people]
    for seed in asked.run or [1, 2, 3, 4]:
        with tempfile.TemporaryDirectory(prefix="colega-faults-") as folder:
            Path(folder).chmod(0o755)  # PostgreSQL runs as another user where this is root.
            result = running_through.run(
                Path(folder), newcomers, seed=seed, count=5 if asked.quick else asked.faults,
                longest_s=4.0 if asked.quick else _LONGEST_S, postgresql=seed % 2 == 1,
                say=lambda fault: print(fault, flush=True),
            )  # fmt: skip
        rows += _told(f"run {seed}, {'PostgreSQL' if seed % 2 else 'SQLite'}", result)
        told.update(result.faults)
    notes = [f"{count} x {fault}" for fault, count in sorted(told.items())]
    finish(rows, asked.json, machine=machine, notes=notes)


def _told(case: str, result: Result) -> list[Row]:
    verdict, ledger = result.verdict, result.ledger
    for name in ("lost", "doubled", "returned", "wrong", "health"):
        for line in getattr(verdict, name):
            print(f"{case}, {name}: {line}")
    searches = sum(count for kind, count in ledger.answers.items() if kind.startswith("search, "))
    return [
        Row(case, "faults", len(result.faults)),
        Row(case, "minutes", result.took_s / 60),
        Row(case, "photos acknowledged", len(ledger.enrolled)),
        Row(case, "of those lost", len(verdict.lost)),
        Row(case, "of those doubled", len(verdict.doubled)),
        Row(case, "people erased", sum(one.erasing_at is not None for one in ledger.enrolled.values())),
        Row(case, "of those returned", len(verdict.returned)),
        Row(case, "searches", searches),
        Row(case, "of those answered", ledger.answers["search, 200"]),
        Row(case, "wrong or erased people named", len(verdict.wrong)),
        Row(case, "faults that health did not tell of in time", len(verdict.health)),
        Row(case, "s from a fault's end until all was well, median", statistics.median(result.recovery_s)),
        Row(case, "s from a fault's end until all was well, longest", max(result.recovery_s)),
    ]


if __name__ == "__main__":
    main()
