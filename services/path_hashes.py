"""Hashes that stand for what a source says, where the words themselves need not or may not be kept."""

import hashlib
import json
from collections.abc import Mapping

HASHED = "sha256:"


def hashed(path: str) -> str:
    """What is kept of the path of a file whose person was erased."""
    return path if path.startswith(HASHED) else HASHED + hashlib.sha256(path.encode()).hexdigest()


def of(said: Mapping[str, object]) -> str:
    """A hash of what was said."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
