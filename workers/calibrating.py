"""Calibrate: learn from a collection's own faces which rates a similarity stands for, and have searches decide by them."""

from collections.abc import Mapping
from typing import Any

from services.calibrated import Calibrated
from workers.evaluation import calibration
from workers.galleries import embedded
from workers.workbench import Workbench


def calibrate(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Fit on everybody who is enrolled, or on the people of a directory, and keep it where it is a collection's.

    Args:
        wanted: ``model``: its name, id or folder; the collection's where nothing is said.
        bench: What is at hand.

    Returns:
        ``people``, ``faces``, ``model``; ``lines``, sentences for people; ``rows``, what each target rate needs and costs
        (:meth:`services.calibrated.Calibrated.told`); ``curves``, the tables themselves.

    Raises:
        NotFound, InvalidModel: There is no such model.
        InvalidRequest: Nobody is enrolled, or one person only.
        Cancelled: Nobody wants the rest.
    """
    bundle = bench.bundle(wanted.get("model"))
    bench.tell({"stage": "faces"})
    enrolled = bench.enrolled(bundle)
    if enrolled is None:
        gallery = bench.gallery()
        vectors = embedded(
            gallery, bundle.embedder(), lambda done, total: bench.tell({"stage": "embed", "done": done, "total": total})
        )
        people = gallery.people
    else:
        vectors, people = enrolled.vectors, enrolled.people
    fitted = calibration.fit(
        vectors, people, told=lambda done, total: bench.tell({"stage": "fit", "done": done, "total": total})
    )
    curves = {**fitted.curves(), "epoch": "" if enrolled is None else enrolled.epoch}
    if enrolled is not None:
        bench.calibrated(enrolled, curves)
    read = Calibrated(curves)
    return {
        "model": bundle.name,
        "digest": bundle.digest,
        "people": fitted.people,
        "faces": fitted.faces,
        "lines": read.lines(),
        "rows": read.told(),
        "curves": curves,
    }
