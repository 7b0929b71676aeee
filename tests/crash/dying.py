"""A worker that dies by SIGKILL at a named moment: ``python -m tests.crash.dying MOMENT ITEM…``; ``never`` lives on."""

import os
import sys

from workers import ingestion
from workers.tasks.process import open_here


def main() -> None:
    """Ingest the items in one chunk."""
    moment, *items = sys.argv[1:]

    def passed(now: str) -> None:
        if now == moment:
            os.kill(os.getpid(), 9)

    here = open_here("bulk", passed)
    again = ingestion.ingest([int(item) for item in items], here.tools)
    for item in again:
        again += ingestion.ingest([item], here.tools)


if __name__ == "__main__":
    main()
