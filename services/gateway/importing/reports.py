"""Reports: a line of CSV for every photo of a job, safe to open with a spreadsheet."""

import csv
import io
from collections.abc import Iterator

from services.catalog.engine import Catalog
from services.catalog.importing import outcomes
from services.catalog.schema import Job
from services.gateway import answers

COLUMNS = ("path", "person", "status", "reason", "photo_id", "faces")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BOM = "\ufeff"
_LINES_AT_ONCE = 200


def lines(catalog: Catalog, job: Job, *, bom: bool) -> Iterator[str]:
    """The report of *job* in pieces: :data:`COLUMNS`, then a line for each photo in the order they came."""
    text = io.StringIO(_BOM if bom else "", newline="")
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    with catalog.reading() as session:
        for count, row in enumerate(outcomes.every(session, session.get_one(Job, job.id))):
            told = answers.item_out(*row)
            name = "" if told["person"] is None else told["person"]["name"]
            fields = (told["name"], name, told["status"], told["reason"], told["photo_id"], told["faces"])
            writer.writerow(["" if field is None else safe(str(field)) for field in fields])
            if count % _LINES_AT_ONCE == _LINES_AT_ONCE - 1:
                yield _taken(text)
        yield _taken(text)


def safe(field: str) -> str:
    """*field* as text to every spreadsheet: what would be a formula there gets an apostrophe in front."""
    return f"'{field}" if field.startswith(_FORMULA) else field


def _taken(text: io.StringIO) -> str:
    taken = text.getvalue()
    text.seek(0)
    text.truncate()
    return taken
