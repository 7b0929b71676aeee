"""What a peer's process does: read a path, time one function on its bytes, write one line of JSON. Standard library only."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Chain = Callable[[bytes], Sequence[float] | None]
"""A photo's bytes to the vector of its largest face; None where it finds none."""


def serve(versions: dict[str, str], chain: Chain) -> None:
    """Answer until standard input ends."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # What a library prints is no answer.
    answers.write(json.dumps(versions) + "\n")
    answers.flush()
    for line in sys.stdin:
        data = Path(line.rstrip("\n")).read_bytes()
        start = time.process_time()
        vector = chain(data)
        cpu_s = time.process_time() - start
        held = None if vector is None else [round(float(value), 6) for value in vector]
        answers.write(json.dumps({"cpu_s": cpu_s, "vector": held}) + "\n")
        answers.flush()
