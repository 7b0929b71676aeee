"""Snapshotting: replicas are written down in turn, by a thread beside the one that follows the logs."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from index.engine.home import EngineHome
from index.follower import Follower
from index.frozen import Frozen, freeze, segments_of
from index.replica import Replica
from services.logs import logger

_LOOK_EVERY_S = 1.0

Key = tuple[int, int]
"""A collection and its generation."""


@dataclass(slots=True)
class Note:
    """What is known of one replica's last snapshot."""

    home: EngineHome
    at: float
    """When the last one was begun, by the monotonic clock."""
    sequence: int = -1
    """What it was taken at; -1 while there is none."""
    segments: frozenset[str] = field(default_factory=frozenset)
    cleansed: int = -1
    """The last log entry up to which nothing removed is in it."""
    wanted: int = -1
    """Up to where the next one is to have been cleansed."""
    has_failed: bool = False
    """Whether the last one could not be written."""
    is_checked: bool = True
    """Whether all files that the replica was restored from were compared with their checksums."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the thread is doing."""

    key: Key
    damage: "Future[list[str]]"
    """What proved damaged, once it has finished."""


class Snapshotting:
    """Whose turn it is. Used by the thread that follows the logs."""

    def __init__(self, every_s: float, least_faces: int, uploads: Callable[[], bool]) -> None:
        self._every_s = every_s
        self._least_faces = least_faces
        self._uploads = uploads
        self._notes: dict[Key, Note] = {}
        self._turn: _Turn | None = None
        self._next_at = 0.0
        self._writer = ThreadPoolExecutor(1, "snapshots")

    def begin(self, key: Key, follower: Follower) -> None:
        """Note a replica that was loaded just now."""
        replica, home = follower.replica, follower.home
        if replica is None or not isinstance(home, EngineHome):
            self._notes.pop(key, None)
        elif follower.origin == "snapshot":
            self._notes[key] = Note(home, time.monotonic(), replica.sequence, is_checked=False)
        else:  # Written down soon: making it took a while.
            self._notes[key] = Note(home, -self._every_s)

    def forget(self, key: Key) -> None:
        """Note that a replica was dropped."""
        self._notes.pop(key, None)

    def sequence(self, key: Key) -> int | None:
        """What the last snapshot of a replica was taken at, if there is one."""
        note = self._notes.get(key)
        return note.sequence if note is not None and note.sequence >= 0 else None

    def is_beyond(self, key: Key, replica: Replica, sequence: int) -> bool:
        """Whether older snapshots than one cleansed up to *sequence* may go: it is there, or none of this replica is written.

        Where it is not there it is made due. False also while anything of the replica is being written.
        """
        note = self._notes.get(key)
        if key in self.at_work:
            return False
        if note is None or note.cleansed >= sequence or len(replica) < self._least_faces:
            return True
        if note.has_failed:
            return True  # The old ones must not wait for what cannot be written.
        note.wanted, self._next_at = max(note.wanted, sequence), 0.0
        return False

    @property
    def at_work(self) -> set[Key]:
        """Whose files are being read or written."""
        return set() if self._turn is None else {self._turn.key}

    def is_time(self) -> bool:
        """Whether it is worth calling :meth:`turn` again."""
        return time.monotonic() >= self._next_at

    def turn(self, here: Callable[[], Mapping[Key, Replica]]) -> Key | None:
        """Take in how the last turn went and begin the next. A replica whose files proved damaged is named."""
        self._next_at = time.monotonic() + min(_LOOK_EVERY_S, self._every_s)
        damaged = None
        if self._turn is not None and not self._turn.damage.done():
            return None
        replicas = here()
        if self._turn is not None:
            done, self._turn = self._turn, None
            damaged = self._ended(done, replicas)
        due = [key for key, note in self._notes.items() if key in replicas and self._is_due(note, replicas[key])]
        if due and damaged is None:
            key = min(due, key=lambda key: self._notes[key].at)
            self._begin(key, self._notes[key], replicas[key])
        return damaged

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown(wait=True, cancel_futures=True)

    def _is_due(self, note: Note, replica: Replica) -> bool:
        if not note.is_checked:
            return True
        if len(replica) < self._least_faces:
            return False
        if note.wanted > note.cleansed and replica.cleansed >= note.wanted:
            return True
        if time.monotonic() - note.at < self._every_s:
            return False
        # Compaction changes no sequence number; but a face that was removed must leave the snapshots, too.
        return replica.sequence != note.sequence or segments_of(replica) != note.segments

    def _begin(self, key: Key, note: Note, replica: Replica) -> None:
        if not note.is_checked:
            note.is_checked = True
            self._turn = _Turn(key, self._writer.submit(note.home.snapshots.check))
            return
        frozen = freeze(replica)
        note.at, note.sequence, note.segments = time.monotonic(), frozen.sequence, frozen.segments
        note.cleansed, note.has_failed = frozen.cleansed, False
        self._turn = _Turn(key, self._writer.submit(_write, note.home, frozen, uploads=self._uploads()))

    def _ended(self, done: _Turn, replicas: Mapping[Key, Replica]) -> Key | None:
        """What has to be done after a turn: files that nobody names any more go, or the replica is made anew."""
        note = self._notes.get(done.key)
        try:
            damage = done.damage.result()
        except OSError as error:
            logger().warning("snapshot.not_written", collection=done.key[0], error=str(error))
            if note is not None:
                note.has_failed = True
                note.sequence = note.cleansed = -1  # Due again when its time has come, changed or not.
            return None
        if note is None or done.key not in replicas:
            return None
        if damage:
            for trouble in damage:
                logger().warning("snapshot.damaged", collection=done.key[0], reason=trouble)
            note.home.snapshots.drop_all()
            return done.key
        note.home.snapshots.clean(replicas[done.key].files())
        return None


def _write(home: EngineHome, frozen: Frozen, *, uploads: bool) -> list[str]:
    started = time.monotonic()
    manifest = home.snapshots.write(frozen)
    if uploads:
        home.snapshots.upload(manifest)
    seconds = round(time.monotonic() - started, 2)
    logger().info("snapshot.written", sequence=manifest.sequence, faces=manifest.counts["faces"], seconds=seconds)
    return []
