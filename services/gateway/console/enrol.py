"""Enrol at the camera: somebody stands in front of it, is told how to stand, and is found from then on."""

from flask import render_template
from flask.typing import ResponseReturnValue

from services.gateway.console.pages import page


@page("/enrol", "enrol")
def enrol() -> ResponseReturnValue:
    """The camera with its guide; what it enrols goes over ``/v1/people``."""
    return render_template("enrol.html")
