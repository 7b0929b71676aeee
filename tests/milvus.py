"""milvus-lite as a server of its own: Milvus's protocol over files, for collections of test size."""

import os
import signal
import sys
from pathlib import Path

from index.milvus.server import Server
from services.local import ports
from services.local.processes import Child, Program, wait_ready
from tests.pausing import pause

_SERVE = "import sys; from milvus_lite.adapter.grpc.server import run_server; run_server(sys.argv[1], '127.0.0.1', int(sys.argv[2]))"


class MilvusLite:
    """One server on a port of its own. It dies with this process at the latest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._port = ports.choose(["milvus"], {})["milvus"]
        self._child = Child(
            Program(
                name="milvus-lite",
                argv=[sys.executable, "-c", _SERVE, folder / "milvus", str(self._port)],
                environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
                is_ready=self._answers,
                ready_within_s=60.0,
            ),
            folder / "logs",
        )

    @property
    def uri(self) -> str:
        """What clients connect to."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it over what is in its folder, and wait until it answers."""
        self._child.start()
        wait_ready([self._child])

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: it listens and says nothing."""
        pause(self._pid)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._child.pid is not None
        return self._child.pid

    def _answers(self) -> bool:
        server = Server(self.uri)
        try:
            server.names()
        finally:
            server.close()
        return True
