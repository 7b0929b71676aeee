"""Meters: what the processes that compute have counted, added up over all of them and since the beginning."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.tables.process import Meter
from services.meters import Counts


def add(session: Session, counts: Counts) -> None:
    """Add what a process has counted since it last did. In one order, so that no two wait for each other."""
    if not counts:
        return
    rows = [{"name": name, "label": label, "value": float(counts[name, label])} for name, label in sorted(counts)]
    new = upsert(session, Meter).values(rows)
    session.execute(
        new.on_conflict_do_update(index_elements=["name", "label"], set_={"value": Meter.value + new.excluded.value})
    )


def every(session: Session) -> dict[tuple[str, str], float]:
    """All of them, by name and label."""
    return {
        (name, label): value for name, label, value in session.execute(select(Meter.name, Meter.label, Meter.value))
    }
