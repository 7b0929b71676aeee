"""Whether a collection is what it must be after a rebuild, asked of the rows themselves."""

import json

from benchmarks.rebuild.service import Rows

Assigned = dict[str, tuple[str | None, str | None]]
"""By the face's public id: whose it is and by whom it was assigned."""


def wrong(catalog: Rows) -> list[str]:
    """What does not hold: every face of a live generation that has a chip has exactly one embedding of it, boxes have none."""
    found = []
    for collection, live, active in catalog.all("SELECT id, live, generation_id FROM collections"):
        for generation in json.loads(live):
            [(model, round_)] = catalog.all("SELECT model_id, round FROM generations WHERE id = ?", (generation,))
            counted = (
                "SELECT count(*) FROM faces f LEFT JOIN embeddings e ON e.face_id = f.id AND e.model_id = ? "
                "WHERE f.collection_id = ? AND f.round = ? AND "
            )
            values = (model, collection, round_)
            for what, where in (
                ("lack their embedding", "f.chip_key IS NOT NULL AND e.face_id IS NULL"),
                ("have one too many", "f.chip_key IS NULL AND e.face_id IS NOT NULL"),
            ):
                [(count,)] = catalog.all(counted + where, values)
                if count:
                    found.append(f"{count} faces of generation {generation} {what}")
        if active not in json.loads(live):
            found.append(f"generation {active} is searched and not live")
    return found


def assigned(catalog: Rows) -> Assigned:
    """Whose each face of the default collection is, in the round that is searched."""
    return {
        face: (person, by)
        for face, person, by in catalog.all(
            "SELECT f.public_id, p.public_id, f.assigned_by FROM faces f JOIN collections c ON c.id = f.collection_id "
            "LEFT JOIN people p ON p.id = f.person_id WHERE f.round = c.round AND c.name = 'default' "
            "AND f.chip_key IS NOT NULL"
        )
    }


def names(catalog: Rows) -> dict[str, str]:
    """Names by the person's public id."""
    return dict(catalog.all("SELECT public_id, name FROM people"))
