"""What sealing costs: sealing, opening and wrapping alone, on one core.

    python -m benchmarks.sealing [--json FILE] [--quick]

A photo that is taken in is sealed once and opened once, its chip and thumbnail are sealed, a key is made and wrapped, and keys are
unwrapped for each of the two calls. A search reads no object.
"""

import io
import os
import time
from collections.abc import Callable
from functools import partial

from benchmarks import machine
from benchmarks.machine import Row
from services.photos import sealing
from services.photos.wrapping import Wrapping

CHIP_BYTES, PHOTO_BYTES, LARGE_BYTES = 20_000, 300_000, 64 << 20
_NAME = "photos/1/pho_0123456789abcdef01234567"


def main() -> None:
    """Measure and print."""
    asked = machine.parser(__doc__).parse_args()
    described, _ = machine.describe(), machine.pin()
    within_s = 0.2 if asked.quick else 2.0
    key, given = sealing.new_key(), Wrapping([sealing.new_key()])
    wrapped = given.wrap(key, "pho_x")
    rows, taken_us = [], 0.0
    for case, size in (
        ("a chip, 20 kB", CHIP_BYTES),
        ("a photo, 300 kB", PHOTO_BYTES),
        ("a file, 64 MiB", LARGE_BYTES),
    ):
        data = os.urandom(size)
        sealed = sealing.seal(data, key, _NAME)
        seal_us = _us(partial(_seal, data, key), within_s)
        open_us = _us(partial(_open, sealed, key), within_s)
        rows += [
            Row(case, "seal, us", seal_us),
            Row(case, "open, us", open_us),
            Row(case, "seal, MB/s", size / seal_us),
            Row(case, "open, MB/s", size / open_us),
        ]
        taken_us += {CHIP_BYTES: 2 * seal_us, PHOTO_BYTES: seal_us + open_us}.get(size, 0.0)
    wrap_us = _us(lambda: given.wrap(sealing.new_key(), "pho_x"), within_s)
    unwrap_us = _us(lambda: given.unwrap(wrapped, "pho_x"), within_s)
    taken_us += wrap_us + 4 * unwrap_us
    rows += [
        Row("a key", "make and wrap, us", wrap_us),
        Row("a key", "unwrap, us", unwrap_us),
        Row("a photo that is taken in", "CPU ms", taken_us / 1000),
    ]
    machine.finish(
        rows, asked.json, machine=described, notes=["chip and thumbnail of 20 kB, photo of 300 kB; bytes at random"]
    )


def _seal(data: bytes, key: bytes) -> None:
    for _ in sealing.seal_stream(io.BytesIO(data), key, _NAME):
        pass


def _open(sealed: bytes, key: bytes) -> None:
    for _ in sealing.open_stream(sealing.in_pieces(sealed), key, _NAME):
        pass


def _us(work: Callable[[], object], within_s: float) -> float:
    """The median of the CPU time that *work* takes, in microseconds."""
    work()
    took: list[float] = []
    until = time.perf_counter() + within_s
    while time.perf_counter() < until or len(took) < 5:
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return sorted(took)[len(took) // 2] * 1e6


if __name__ == "__main__":
    main()
