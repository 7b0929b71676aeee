"""Where replicas of the FAISS engine live: a folder each, and a shelf of snapshots."""

from dataclasses import dataclass, field
from pathlib import Path

from index.engine.compaction import Sizes
from index.engine.device import Device, Processor
from index.engine.engine import Engine
from index.engine.looking import Helper
from index.engine.sealing import Sealer
from index.engine.segment import Keeping
from index.protocol import Reached, Shelf, unwatched
from index.replica import Replica
from index.snapshots import Snapshots


@dataclass
class EngineHome:
    """An :class:`index.follower.Home` in *folder*, which no other process may use meanwhile."""

    dimension: int
    folder: Path
    sealer: Sealer
    shelf: Shelf | None = None
    helper: Helper = field(default_factory=Helper)
    keeping: Keeping = "mapped"
    device: Device = field(default_factory=Processor)
    """What scans the templates; faces are looked up by number."""
    least: int = -1
    """Snapshots that were not cleansed up to this log entry are not used, and those that are here go."""
    sizes: Sizes | None = None
    """None: as the device has them."""
    reached: Reached = unwatched
    snapshots: Snapshots = field(init=False)

    def __post_init__(self) -> None:
        self.snapshots = Snapshots(self.folder, self.shelf, self.reached)
        self.snapshots.begin()

    def restored(self, epoch: str) -> tuple[Replica | None, list[str]]:
        """See :class:`index.follower.Home`."""
        self.snapshots.drop_others(epoch)
        replica, troubles = self.snapshots.read(epoch, self._engine, self.dimension, least=self.least)
        if replica is not None:
            assert isinstance(replica.templates, Engine)
            replica.templates.prepare()
        return replica, troubles

    def empty(self, epoch: str) -> Replica:
        """See :class:`index.follower.Home`."""
        templates = self._engine()
        templates.prepare()
        return Replica(self._engine(), templates, epoch=epoch)

    def _engine(self) -> Engine:
        return Engine(
            self.dimension,
            self.snapshots.segments,
            self.sealer,
            helper=self.helper,
            keeping=self.keeping,
            sizes=self.sizes,
            reached=self.reached,
            device=self.device,
        )
