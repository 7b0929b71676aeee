"""Free ports on this machine, outside the range from which the kernel lends ports to clients."""

import random
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.errors import CannotStart

GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC this far above each of its ports."""

_LOWEST, _HIGHEST = 10_100, 22_700  # With the offset still below 32768, where the kernel's own range begins.
_PUBLIC_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on *port* of that address; the loopback address if none is given."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_local(host: str) -> None:
    """See that one can listen on that address.

    Raises:
        CannotStart: It is none of this machine's.
    """
    if not is_free(0, host):
        raise CannotStart(f"{host} is no address of this machine. Give one that is, or 0.0.0.0 for all of them.")


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


@dataclass(frozen=True, slots=True)
class Reserved:
    """A port that no other service on this machine chooses, whether anybody listens on it yet or not."""

    port: int
    mark: socket.socket
    """Holds the reservation until it is closed, or this process ends."""


def public(wanted: int | None, usual: int = 8000, *, host: str = "127.0.0.1") -> Reserved:
    """A port for the gateway on *host*: *wanted*, or the first free one from *usual* on where none was asked for.

    Between choosing a port and listening on it seconds pass; two services that start together must not choose the same.

    Raises:
        CannotStart: *wanted* is taken, or there is none.
    """
    if wanted is not None:
        if not is_free(wanted, host) or (reserved := _reserved(wanted)) is None:
            raise CannotStart(f"Port {wanted} is taken. Give another one, or none to use the next that is free.")
        return reserved
    for port in range(usual, usual + _PUBLIC_TRIES):
        if is_free(port, host) and (reserved := _reserved(port)) is not None:
            return reserved
    raise CannotStart(f"No port from {usual} to {usual + _PUBLIC_TRIES - 1} is free.")


def _reserved(port: int) -> Reserved | None:
    """The port, marked as ours by a name that only one process has at a time and that goes with it; None: another has it."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0colega-port-{port}")  # Linux's abstract names belong to the same network namespace as ports.
    except OSError:
        mark.close()
        return None
    return Reserved(port, mark)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
