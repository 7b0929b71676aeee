"""Free ports on this machine, outside the range from which the kernel lends ports to clients."""

import random
import socket
from collections.abc import Iterable, Mapping

from services.errors import CannotStart

GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC this far above each of its ports."""

_LOWEST, _HIGHEST = 10_100, 22_700  # With the offset still below 32768, where the kernel's own range begins.
_PUBLIC_TRIES = 200


def is_free(port: int) -> bool:
    """Whether nobody listens on *port* of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """A port for each of *names*: the one it had where that is still free, else another.

    Each port is free itself and :data:`GRPC_OFFSET` above, and no two touch.

    Raises:
        CannotStart: There are not enough free ports.
    """
    chosen: dict[str, int] = {}
    draw = random.SystemRandom()
    for name in names:
        candidates = [kept[name]] if name in kept else []
        candidates += [draw.randint(_LOWEST, _HIGHEST) for _ in range(500)]
        taken = set(chosen.values())
        usable = (p for p in candidates if p not in taken and is_free(p) and is_free(p + GRPC_OFFSET))
        if (port := next(usable, None)) is None:
            raise CannotStart("There are not enough free ports on 127.0.0.1.")
        chosen[name] = port
    return chosen


def public(wanted: int | None, usual: int = 8000) -> int:
    """The port of the gateway: *wanted*, or the first free one from *usual* on where none was asked for.

    Raises:
        CannotStart: *wanted* is taken, or there is none.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise CannotStart(f"Port {wanted} is taken. Give another one, or none to use the next that is free.")
        return wanted
    for port in range(usual, usual + _PUBLIC_TRIES):
        if is_free(port):
            return port
    raise CannotStart(f"No port from {usual} to {usual + _PUBLIC_TRIES - 1} is free.")
