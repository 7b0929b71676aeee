"""Two and four machines: network namespaces as hosts, each with a cable of its own to one catalog, broker, store and gateway.

Real: one and two worker processes, each on a core that it is pinned to, import photos while gateway, store, catalog and broker
run beside them; stated as it comes. Simulated: machines of 16 workers that sleep 4 s for a chunk of 16 photos, which shows what
rows and messages allow.
"""

from collections.abc import Callable
from dataclasses import asdict

from benchmarks.machine import Row, describe, finish, parser
from benchmarks.machines import real, simulated


def main() -> None:
    """Measure what is asked for and print one table a part."""
    made = parser(__doc__)
    made.add_argument("--only", choices=["real", "simulated"], help="only this part")
    asked = made.parse_args()
    parts: dict[str, Callable[..., list[Row]]] = {"real": real.rows, "simulated": simulated.rows}
    machine = describe()
    found = {name: part(quick=asked.quick) for name, part in parts.items() if asked.only in {None, name}}
    notes = [
        "hosts are network namespaces of this machine: all of them share its cores; PostgreSQL syncs",
        *(
            ["real: gateway, store, catalog, broker and searcher run on the cores that the workers are pinned to"]
            if "real" in found
            else []
        ),
        *(
            ["simulated: every photo has a face; no photo store, no models, no searcher"]
            if "simulated" in found
            else []
        ),
    ]
    every = [row for rows in found.values() for row in rows]
    shown = {name: {"rows": [asdict(row) for row in rows]} for name, rows in found.items()}
    finish(every, asked.json, machine=machine, notes=notes, parts=shown)


if __name__ == "__main__":
    main()
