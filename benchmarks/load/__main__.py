"""Mixed load on one machine: its capacity, half an hour at 70% of it, and five times as much as it can do.

70% searches, 20% enrolments, 10% browsing, asked by Locust, at random times. Capacity is the highest rate at which 99
of 100 searches are answered within a second for five minutes. Locust runs on the same cores; what it took is stated.
"""

from benchmarks import datasets
from benchmarks.load.asking import Asked, Load
from benchmarks.load.watching import Watching
from benchmarks.machine import Row, describe, finish, parser
from benchmarks.running import Service

_P99_MS = 1000.0
_USUAL = 0.7
"""Of capacity."""
_FIRST_RATE = 6.0
_STEP, _SHORT_STEP = 1.25, 1.06
_STEP_S, _CONFIRM_S, _MIXED_S, _WARM_S, _OVERLOAD_S, _AFTER_S = 45.0, 300.0, 1800.0, 600.0, 60.0, 30.0
_OURS = ("gateway", "searcher", "interactive worker", "bulk worker", "training worker", "maintenance", "supervisor")


def main() -> None:
    """Run everything and print one table."""
    made = parser(__doc__)
    made.add_argument("--capacity", type=float, metavar="RATE", help="do not look for it: requests a second")
    made.add_argument("--only", choices=["capacity", "mixed", "overload"], help="one of the three")
    asked = made.parse_args()
    shorter = 0.05 if asked.quick else 1.0
    rows: list[Row] = []
    machine = describe()
    with Service() as service, Load(service, datasets.lfw(), datasets.georgia_tech()) as load:
        load.enrol()
        capacity = asked.capacity
        if capacity is None or asked.only == "capacity":
            capacity, found = _capacity(load, shorter)
            rows += found
        if asked.only in {None, "mixed"}:
            rows += _mixed(service, load, capacity, shorter)
        if asked.only in {None, "overload"}:
            rows += _overload(load, capacity, shorter)
        rows += load.lost()
    finish(rows, asked.json, machine=machine, notes=[f"{load.people} people; photos of LFW and of Georgia Tech"])


def _capacity(load: Load, shorter: float) -> tuple[float, list[Row]]:
    """The highest rate that is served for five minutes: by long steps up, by short ones, then confirmed, or by short ones down."""
    rate, rows = _FIRST_RATE, []
    for step in (_STEP, _SHORT_STEP):
        while _is_served(took := load.at(rate * step, _STEP_S * shorter)):
            rate *= step
            rows.append(Row("steps up", f"p99 of searches at {rate:.1f}/s, ms", took.p99("search")))
    while True:
        took = load.at(rate, _CONFIRM_S * shorter)
        rows += _by_kind(f"{rate:.1f}/s for {_CONFIRM_S * shorter:.0f} s", took)
        if _is_served(took) or rate < 1:
            return rate, [*rows, Row("capacity", "requests/s", rate)]
        rate /= _SHORT_STEP


def _is_served(took: Asked) -> bool:
    """Whether nothing failed, and 99 of 100 searches were answered within a second: one that is refused was not."""
    return not took.errors and took.within("search", _P99_MS) >= 0.99


def _mixed(service: Service, load: Load, capacity: float, shorter: float) -> list[Row]:
    """Half an hour at 70% of capacity: errors, p99 to p50, and what memory does after ten minutes."""
    case = f"{_MIXED_S * shorter / 60:.0f} minutes at {_USUAL * capacity:.1f}/s"
    with Watching(service) as watching:
        took = load.at(_USUAL * capacity, _MIXED_S * shorter)
    rows = _by_kind(case, took)
    rows += [Row(case, f"{kind}, p99 over p50", took.p99(kind) / took.p50(kind)) for kind in took.kinds]
    slopes = watching.slopes_mb(after_s=_WARM_S * shorter)
    ours = sum(slope for part, slope in slopes.items() if part in _OURS)
    rows.append(Row(case, "resident memory of colega's processes, slope, MB in 10 minutes", ours))
    for part, slope in sorted(slopes.items()):
        rows.append(Row(case, f"{part}, MB at the end", watching.last_mb(part)))
        rows.append(Row(case, f"{part}, slope, MB in 10 minutes", slope))
    return [*rows, Row(case, "Locust, share of a core", took.client_cores)]


def _overload(load: Load, capacity: float, shorter: float) -> list[Row]:
    """Five times as much as it can do, beside what it is like at capacity, and how soon it is well again.

    A part of it goes on when the rest ends: those who ask then are who see how long it takes.
    """
    usual = load.at(capacity, _OVERLOAD_S * shorter)
    for_s = _OVERLOAD_S * shorter
    beside = load.begin(_USUAL * capacity, for_s + _AFTER_S)
    more = load.begin((5 - _USUAL) * capacity, for_s).end()
    all_along = beside.end()
    over = more.beside(all_along.until(more.last_at))
    case = f"5 x capacity, {5 * capacity:.0f}/s"
    rows = [*_by_kind("at capacity", usual), *_by_kind(case, over)]
    rows += [
        Row(case, f"{kind}, p99 of accepted over that at capacity", over.p99(kind) / usual.p99(kind))
        for kind in over.kinds
    ]
    rows.append(Row(case, "refused without Retry-After", over.without_retry_after))
    well_s = all_along.well_after_s(more.last_at, 2 * usual.p99("search"))
    rows.append(Row(case, f"s until at {_USUAL:.0%} of capacity no request was refused or late any more", well_s))
    return rows


def _by_kind(case: str, took: Asked) -> list[Row]:
    rows = [Row(case, "requests/s sent", took.rate), Row(case, "errors", took.errors)]
    for kind in took.kinds:
        rows.append(Row(case, f"{kind}, p50 ms", took.p50(kind)))
        rows.append(Row(case, f"{kind}, p99 ms", took.p99(kind)))
        rows.append(Row(case, f"{kind}, refused with 429 or 503", took.refused(kind)))
    return rows


if __name__ == "__main__":
    main()
