"""Who is this? A photo, and the people in it."""

from flask import render_template
from flask.typing import ResponseReturnValue

from services.gateway.console.pages import page


@page("/", "search")
def who() -> ResponseReturnValue:
    """Drop, paste, choose or take a photo; who is in it is asked over ``/v1/search``."""
    return render_template("who.html")
