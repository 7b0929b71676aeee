"""A service with everything around it that can fail: its servers behind proxies, a small disk, a clock that jumps."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from services.local import seaweedfs, valkey
from tests.proxies import Proxy
from tests.running import Running
from tests.stack import Stack

DISK_MB = 2048
"""Health calls a disk low that has less than a GiB."""


class World:
    """Valkey, SeaweedFS and PostgreSQL as servers of their own, proxies before them, and ``colega up`` behind those.

    Or with SQLite in the data folder: then there is no database to fail, but the disk that fills up is the catalog's, too.
    """

    def __init__(self, folder: Path, *, seed: int, postgresql: bool) -> None:
        self.folder = folder
        self.has_postgresql = postgresql
        self.servers = Stack()
        self._ends = contextlib.ExitStack()
        self._seed = seed
        self.has_small_disk = False
        """Whether the data folder lies on a file system that can be filled."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as ends:
            ends.enter_context(self.servers)
            broker_port = urlsplit(self.servers.broker_url()).port
            photos = self.servers.photo_settings()
            assert broker_port is not None
            self.broker = ends.enter_context(Proxy(broker_port, seed=self._seed))
            self.store = ends.enter_context(Proxy(self.servers.instance.ports[seaweedfs.S3], seed=self._seed))
            catalog = self._catalog(ends) if self.has_postgresql else {}
            data = self.folder / "data"
            ends.enter_context(self._disk(data))
            self.clock = self.folder / "clock"
            self.clock.write_text("+0", "ascii")
            password = self.servers.instance.secret("broker_password")
            self.service = _WithAClock(
                data,
                self.folder / "python",
                self.clock,
                COLEGA_BROKER_URL=valkey.url(self.broker.port, password),
                COLEGA_CATALOG_BUSY_S="3",
                **catalog,
                **{**photos, "COLEGA_PHOTOS_ENDPOINT": f"http://127.0.0.1:{self.store.port}"},
            )
            ends.callback(self.service.stop)
            self.service.start()
            self._ends = ends.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.close()

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Nothing more can be written to the data folder."""
        ballast = self.service.data / "ballast"
        try:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(2**20))
            with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(512))
            yield
        finally:
            ballast.unlink(missing_ok=True)

    @contextlib.contextmanager
    def jumped_clock(self, seconds: float) -> Iterator[None]:
        """The clocks of all processes of colega are *seconds* off; their steady clocks go on as ever."""
        self._set_clock(seconds)
        try:
            yield
        finally:
            self._set_clock(0)

    def _set_clock(self, seconds: float) -> None:
        draft = self.clock.with_suffix(".new")
        draft.write_text(f"{seconds:+.0f}", "ascii")
        draft.replace(self.clock)
        time.sleep(1.1)  # Each process reads it once a second.

    def _catalog(self, ends: contextlib.ExitStack) -> dict[str, str]:
        url = urlsplit(self.servers.postgres().new_database())
        assert url.port is not None
        self.catalog = ends.enter_context(Proxy(url.port, seed=self._seed))
        there = url.netloc.replace(str(url.port), str(self.catalog.port))
        return {"COLEGA_CATALOG_URL": url._replace(netloc=there).geturl()}

    @contextlib.contextmanager
    def _disk(self, data: Path) -> Iterator[None]:
        """A small file system for the data folder where this user may mount one."""
        data.mkdir(parents=True)
        size = f"size={DISK_MB}m"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(data)], check=False, capture_output=True
        )
        self.has_small_disk = mounted.returncode == 0
        try:
            yield
        finally:
            if self.has_small_disk:
                subprocess.run(["umount", "--lazy", str(data)], check=False, capture_output=True)


class _WithAClock(Running):
    """A service whose Python processes ask libfaketime what time it is."""

    def __init__(self, data: Path, wrapper: Path, clock: Path, **settings: str) -> None:
        super().__init__(data, **settings)
        found = find_spec("libfaketime")
        assert found is not None
        assert found.origin is not None
        library = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        wrapper.write_text(
            "#!/bin/sh\n"
            f"export LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{clock}' FAKETIME_CACHE_DURATION=1\n"
            "export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1\n"
            f"exec '{sys.executable}' \"$@\"\n"
        )
        wrapper.chmod(0o755)
        self._wrapper = wrapper

    def command(self) -> list[str]:
        """As :class:`Running`'s, but that the children are started by way of the wrapper."""
        script = (
            "import sys; sys.executable = sys.argv[1]; sys.argv[0:2] = ['colega'];"
            "from services.cli.main import main; main()"
        )
        return [sys.executable, "-c", script, str(self._wrapper), *super().command()[3:]]
