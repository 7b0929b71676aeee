"""Live: the camera in the browser, and who is before it."""

from flask import render_template
from flask.typing import ResponseReturnValue

from services.gateway.console.pages import page


@page("/live", "search")
def live() -> ResponseReturnValue:
    """The camera's frames are asked about over ``/v1/search``; nothing of them is kept, here or there."""
    return render_template("live.html")
