"""Who is this? A photo, and the people in it."""

import math

from flask import render_template
from flask.typing import ResponseReturnValue

from services.calibrated import FMR_TARGETS
from services.errors import ColegaError
from services.gateway.console.pages import collection, page
from services.gateway.doors import gateway
from services.gateway.searching.search import gallery_of


@page("/", "search")
def who() -> ResponseReturnValue:
    """Drop, paste, choose or take a photo; who is in it is asked over ``/v1/search``."""
    rates, least = _rates()
    return render_template("who.html", rates=rates, least_fmr=least or 0, max_upload_mb=gateway().limits.max_upload_mb)


def _rates() -> tuple[list[float], float | None]:
    """False-match rates that a search may be asked to decide by, and the least that a calibration tells.

    None where the collection cannot be searched yet.
    """
    try:
        gallery = gallery_of(collection())
    except ColegaError:
        return [], None
    if gallery.calibrated is not None:
        calibrated = gallery.calibrated
        return [rate for rate in FMR_TARGETS if calibrated.has("fmr", rate)], calibrated.least("fmr")
    known = [float(rate) for rate in gallery.model.details.get("thresholds", {}).get("fmr", {})]
    return [rate for rate in FMR_TARGETS if any(math.isclose(rate, each, rel_tol=1e-6) for each in known)], None
