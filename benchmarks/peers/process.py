"""A peer in a process and virtual environment of its own, asked for one photo at a time over its standard streams."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_HOME = Path(__file__).parent
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer made of one photo: CPU seconds, and the vector of the face it took, if it found one."""

    cpu_s: float
    vector: list[float] | None


class Peer:
    """One of the scripts beside this file, running under its own Python on the cores of this process."""

    def __init__(self, name: str, python: Path, script: str, arguments: Sequence[str], notes: list[str]) -> None:
        self.name = name
        environment = {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), **dict.fromkeys(_THREADS, "1")}
        self._process = subprocess.Popen(
            [str(python), str(_HOME / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        versions: dict[str, str] = json.loads(self._line())
        notes.append(", ".join(f"{package} {version}" for package, version in versions.items()))

    def ask(self, photo: Path) -> Answer:
        """Let the peer read *photo* (not timed) and go from its bytes to a vector (timed)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{photo}\n")
        self._process.stdin.flush()
        return Answer(**json.loads(self._line()))

    def __enter__(self) -> Self:
        """Nothing to do: it runs since it was made."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait(timeout=30)}")
        return line
