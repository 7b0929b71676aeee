"""Volumes: SeaweedFS keeps many objects in one file, and a deleted one stays in it until the file is written anew."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from services.errors import InvalidSettings, PhotoStoreUnavailable
from services.logs import logger

_ASKED_S, _WRITTEN_S = 5.0, 600.0
_POLL_S = 0.2
_FSCK_EVERY_S, _FSCK_S = 3600.0, 600.0
_UNDER_WAY = "10m"
"""Younger pieces may belong to an object that is still being written."""


class Volumes:
    """The volumes of a SeaweedFS, asked for by its master. Used from one thread.

    Args:
        url: Of the master, as ``http://host:9333``.

    Raises:
        InvalidSettings: It is no such address.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidSettings("COLEGA_PHOTOS_VACUUM_URL must be like http://seaweedfs:9333.")
        self._scheme, self._master = parts.scheme, parts.netloc
        self._looked_at = -_FSCK_EVERY_S

    def free(self) -> None:
        """Have every volume written anew that holds anything deleted, however little. Takes as long as copying them.

        Raises:
            PhotoStoreUnavailable: The master or a volume server does not answer, or a volume was not written anew.
        """
        self._delete_orphans()
        before = self._volumes()
        self._ask(self._master, "/vol/vacuum?garbageThreshold=0", timeout_s=_WRITTEN_S)
        give_up_at = time.monotonic() + _WRITTEN_S
        while left := [name for name, volume in self._volumes().items() if _is_left(before.get(name), volume)]:
            if time.monotonic() > give_up_at:
                raise PhotoStoreUnavailable(f"SeaweedFS has not written volume {left[0]} anew. Is its disk full?")
            time.sleep(_POLL_S)

    def _volumes(self) -> dict[str, dict[str, Any]]:
        """All volumes, by server and number, as their servers have them now."""
        centers = self._ask(self._master, "/dir/status")["Topology"].get("DataCenters") or []
        racks = [rack for center in centers for rack in center.get("Racks") or []]
        nodes = [node["Url"] for rack in racks for node in rack.get("DataNodes") or []]
        return {
            f"{volume['Id']} at {node}": volume
            for node in nodes
            for volume in self._ask(node, "/status").get("Volumes") or []
        }

    def _delete_orphans(self) -> None:
        """Delete the bytes that no object refers to: a server that is killed right after a delete forgets them for ever.

        Once an hour, and only where the server's program is on this machine, which knows how.
        """
        program = _program()
        if program is None or time.monotonic() - self._looked_at < _FSCK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        commands = f"lock\nvolume.fsck -reallyDeleteFromVolume -cutoffTimeAgo={_UNDER_WAY}\nunlock\n"
        try:
            subprocess.run(
                [program, "shell", f"-master={self._master}"],
                input=commands, env={"PATH": os.defpath}, capture_output=True, text=True, timeout=_FSCK_S, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            logger().warning("store.orphans_not_looked_for", reason=type(error).__name__)

    def _ask(self, server: str, path: str, *, timeout_s: float = _ASKED_S) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = httpx.get(f"{self._scheme}://{server}{path}", timeout=httpx.Timeout(_ASKED_S, read=timeout_s))
            answer.raise_for_status()
            told = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise PhotoStoreUnavailable(
                f"SeaweedFS at {server} does not say what its volumes hold: {type(error).__name__}. See COLEGA_PHOTOS_VACUUM_URL."
            ) from None
        return told


def _is_left(before: dict[str, Any] | None, now: dict[str, Any]) -> bool:
    """Whether a volume that had something deleted in it is still the same file."""
    if before is None or not int(before["DeletedByteCount"]):
        return False
    return bool(now["CompactRevision"] == before["CompactRevision"] and int(now["DeletedByteCount"]))


def _program() -> Path | None:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    return None if found is None else Path(found)
