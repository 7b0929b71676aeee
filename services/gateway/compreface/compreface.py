"""CompreFace's API put together: ``register`` is what the application calls."""

from flask.typing import ResponseReturnValue
from flask_openapi import OpenAPI

from services.gateway.compreface import examples, failures, recognition, subjects
from services.gateway.compreface.facade import NAME, facade
from services.gateway.guarding import auth

DOORS = (examples, recognition, subjects)
"""The modules that open the facade's doors."""


def register(app: OpenAPI) -> None:
    """Add the doors to *app*, and an answer in their shape for what is not offered."""
    app.register_api(facade)


@facade.route("/<path:_path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def not_offered(_path: str) -> ResponseReturnValue:
    """Say so, and why pictures are not to be had by an address with the key in it."""
    if _path.startswith("static/"):
        failures.refuse(
            failures.UNDEFINED,
            "Pictures are not offered at addresses that have the key in them: addresses end up in logs, histories and "
            "referrers. Ask for /api/v1/recognition/faces/IMAGE_ID/img with the header x-api-key.",
            404,
        )
    failures.refuse(failures.UNDEFINED, "This is not offered. docs/compreface.md says what is.", 404)


auth.PUBLIC.add(f"{NAME}.{not_offered.__name__}")
