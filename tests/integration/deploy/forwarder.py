"""A published port: what arrives at it here is sent on from within the network of another process.

``forwarder.py ADDRESS PORT PID THEIR_PORT``. The listening socket belongs to the network it was made in; those made
later, to the one this process has moved into.
"""

import asyncio
import ctypes
import os
import socket
import sys
from contextlib import suppress

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET


def main() -> None:
    """Forward until told to end."""
    address, port, pid, their_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    listening = socket.create_server((address, port))
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(network, _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    asyncio.run(_serve(listening, their_port))


async def _serve(listening: socket.socket, their_port: int) -> None:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            theirs = await asyncio.open_connection("127.0.0.1", their_port)
            await asyncio.gather(_pump(reader, theirs[1]), _pump(theirs[0], writer))
        writer.close()

    server = await asyncio.start_server(forward, sock=listening)
    await server.serve_forever()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await source.read(65_536):
            target.write(piece)
            await target.drain()
    with suppress(OSError):
        target.write_eof()


if __name__ == "__main__":
    main()
