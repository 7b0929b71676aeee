"""Licences of models: which are plainly permissive, and which somebody has to accept before the model is used."""

import re

PERMISSIVE = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC-BY-4.0",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "PDDL-1.0",
        "Unlicense",
        "Zlib",
    }
)
"""SPDX identifiers that ask for no more than to be named."""

LONGEST = 200
NOT_STATED = "not stated"

_NAMES = {name.casefold() for name in PERMISSIVE}


def is_permissive(licence: str) -> bool:
    """Whether *licence* is nothing but SPDX identifiers of :data:`PERMISSIVE`, alone or joined by AND and OR.

    A text that says more ("MIT, for research only") is not: it must be read by somebody.
    """
    choices = re.split(r"\s+OR\s+", licence.strip())
    return any(all(part.casefold() in _NAMES for part in re.split(r"\s+AND\s+", choice)) for choice in choices)
