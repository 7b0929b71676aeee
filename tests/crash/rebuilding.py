"""A worker on a rebuild that dies by SIGKILL at a named moment: ``python -m tests.crash.rebuilding MOMENT REBUILD``."""

import os
import sys

from workers import rebuilding
from workers.tasks.process import open_here


def main() -> None:
    """Work on chunks until there are none; ``never`` lives on."""
    moment, rebuild = sys.argv[1:]

    def passed(now: str) -> None:
        if now == moment:
            os.kill(os.getpid(), 9)

    here = open_here("bulk", passed)
    while rebuilding.work(int(rebuild), here.tools):
        pass


if __name__ == "__main__":
    main()
