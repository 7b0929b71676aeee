"""Vectors as the catalog keeps them and as searchers are asked with them."""

import array
import base64
import math
import struct


def encoded(half: bytes) -> str:
    """float16 bytes as base64 of float32, of norm 1 again."""
    numbers = struct.unpack(f"<{len(half) // 2}e", half)
    norm = math.sqrt(sum(n * n for n in numbers)) or 1.0
    return base64.b64encode(array.array("f", (n / norm for n in numbers)).tobytes()).decode()
