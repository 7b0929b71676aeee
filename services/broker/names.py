"""The names of queues and tasks, so that who sends need not import who works."""

from typing import Final

INTERACTIVE: Final = "interactive"
ENROL: Final = "enrol"
BULK: Final = "bulk"
REBUILD: Final = "rebuild"
TRAINING: Final = "training"
MAINTENANCE: Final = "maintenance"

RANKED: Final = (ENROL, BULK, REBUILD)
"""The queues of the bulk workers, the most urgent first."""

LOOK: Final = "colega.look"
INGEST: Final = "colega.ingest"
UNPACK: Final = "colega.unpack"
CHECK_MODEL: Final = "colega.check_model"
COMPUTE: Final = "colega.compute"
REBUILD_PLAN: Final = "colega.rebuild_plan"
REBUILD_CHUNK: Final = "colega.rebuild_chunk"
CONDUCT: Final = "colega.conduct"
SWEEP: Final = "colega.sweep"
TIDY: Final = "colega.tidy"
ORPHANS: Final = "colega.orphans"
PRUNE: Final = "colega.prune"
ERASE: Final = "colega.erase"
CHECKS: Final = "colega.checks"
RETAIN: Final = "colega.retain"
SEAL: Final = "colega.seal"
