"""Checkpoints: where a training stood, in one file of tensors, written whole or not at all.

A checkpoint is a safetensors file (no pickle) whose header carries the rest as JSON. It is written beside its name, synced,
and renamed; the one before it stays. So after a kill -9, and with a full disk, there is a whole one to go on from.
"""

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from services.errors import DiskFull

_KEPT = 2
_SUFFIX = ".safetensors"
_STATE = "state"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training as it stood after *step* steps."""

    step: int
    tensors: Mapping[str, torch.Tensor]
    """On the CPU."""
    state: Mapping[str, Any]
    """What JSON can say: history, best figure, recipe."""


def save(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Keep a checkpoint in *folder*, and the one before it; older ones go.

    Raises:
        DiskFull: There is no room; the checkpoints that were there stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(held, {_STATE: json.dumps(state)})
    target = folder / f"{step:08d}{_SUFFIX}"
    scratch = target.with_suffix(".part")
    try:
        _write(scratch, content)
        scratch.rename(target)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        kept = ", ".join(path.name for path in _files(folder)) or "none yet"
        raise DiskFull(
            f"There is no room in {folder} for a checkpoint of {len(content):,} bytes. Free some and start the same "
            f"training again: it goes on from the last checkpoint ({kept})."
        ) from error
    _sync(folder)
    for path in _files(folder)[:-_KEPT]:
        path.unlink(missing_ok=True)


def latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of *folder* that can be read; None where there is none."""
    for path in reversed(_files(folder)):
        try:
            with safetensors.safe_open(path, "pt") as file:
                state = json.loads(file.metadata()[_STATE])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError):
            continue
        return Checkpoint(int(path.stem), tensors, state)
    return None


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"[0-9]*{_SUFFIX}"))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Make the rename itself last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
