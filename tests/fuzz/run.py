"""Fuzz for a while: ``python -m tests.fuzz.run --seconds 3600 --keep FOLDER``. What fails is kept there, and so is what kills."""

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from tests.fuzz import mutating, reading

ROOT = Path(__file__).resolve().parents[2]
_MEMORY_BYTES = 4 * 2**30
_HANGS_S = 30


def main() -> int:
    """Draw, read, count. 1 where something failed."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--keep", type=Path, required=True)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--odd", type=Path, help="A folder with `odd_files` and `archives` of other sources.")
    asked.add_argument("--only", choices=["photos", "archives"])
    given = asked.parse_args()
    given.keep.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _hangs)
    photos = reading.photos(ROOT / "examples", given.odd and given.odd / "odd_files")
    archives = reading.archives(given.odd and given.odd / "archives")
    drawn, began, failed = random.Random(given.seed), time.monotonic(), 0
    counts = {"photos": 0, "archives": 0, "read": 0}
    current = given.keep / "current"
    while time.monotonic() - began < given.seconds:
        what = given.only or ("photos" if drawn.random() < 0.6 else "archives")
        data = mutating.mutated(photos if what == "photos" else archives, drawn)
        current.write_bytes(data)  # Whatever kills this process is here.
        signal.alarm(_HANGS_S)
        try:
            if what == "photos":
                counts["read"] += reading.decode_is_sound(data)
            else:
                counts["read"] += reading.archive_is_sound(data, given.keep / "archive")
        except Exception:  # noqa: BLE001 - Anything is a finding.
            failed += 1
            (given.keep / f"{what}-{given.seed}-{counts[what]}").write_bytes(data)
            traceback.print_exc()
        finally:
            signal.alarm(0)
        counts[what] += 1
    sys.stdout.write(f"seed {given.seed}: {counts}, {failed} failed, {time.monotonic() - began:.0f} s\n")
    return int(failed > 0)


def _hangs(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TimeoutError(f"not done within {_HANGS_S} s")


if __name__ == "__main__":
    sys.exit(main())
