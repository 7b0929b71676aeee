"""A supervisor over three children of different manners: ``python -m tests.crash.supervised DATA``.

``polite`` ends when asked; ``deaf`` does not, and neither does the process that it has started; ``ending`` ends by
itself each time. A line on standard output says that all have started.
"""

import os
import sys
from pathlib import Path

from services.local.processes import Program
from services.local.supervisor import Stopped, Supervisor

_DEAF = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(600)"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _python(name: str, code: str) -> Program:
    return Program(name, [sys.executable, "-c", code], {"PATH": os.defpath}, end_within_s=0.5)


def main() -> None:
    """Start them, and watch until told to end."""
    with Supervisor(Path(sys.argv[1]), _say) as supervisor:
        try:
            supervisor.start(_python("polite", "import time; time.sleep(600)"), _python("deaf", _DEAF))
            supervisor.start(_python("ending", "import time; time.sleep(0.05)"))
            _say("started")
            supervisor.watch()
        except Stopped:
            _say("stopped")


if __name__ == "__main__":
    main()
