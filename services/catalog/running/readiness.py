"""Readiness: which of the processes that answer searches could not yet answer from a generation."""

from sqlalchemy.orm import Session

from services.catalog import models
from services.catalog.running import processes
from services.catalog.schema import Generation


def unready(session: Session, generation: Generation) -> list[str]:
    """The processes, by id, that a switch to *generation* waits for.

    A searcher is ready that tells of its replica, an interactive worker that has model and detector open. One that was not seen for a
    while is taken for gone, and waited for no longer.
    """
    digest = models.by_id(session, generation.model_id).digest
    number = generation.detector_id
    detector = None if number is None else models.by_id(session, number).digest
    waited_for = []
    for process in processes.running(session):
        if process.kind == "searcher":
            held = process.details.get("replicas", [])
            is_ready = any(replica["generation"] == generation.id and not replica["reloading"] for replica in held)
        elif process.kind == "interactive":
            opened = any(embedder["model"] == digest for embedder in process.details.get("embedders", []))
            is_ready = opened and detector in process.details.get("detector_files", [])
        else:
            continue
        if not is_ready:
            waited_for.append(process.id)
    return waited_for
