"""The console as a whole: its pages, and what they are made of, added to the gateway."""

from flask import Flask

from services.gateway.console import (
    assets,
    audit,
    basis,
    enrol,
    erasures,
    imports,
    language,
    live,
    models,
    pages,
    people,
    photos,
    review,
    signing_in,
    status,
    who,
)

VIEWS = (signing_in, who, enrol, imports, models, people, basis, photos, review, status, live, audit, erasures)
"""Modules whose views belong to the blueprint by being imported."""


def register(app: Flask) -> None:
    """Add the pages at ``/`` to *app*."""
    language.install(app.jinja_env)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    assets.register(app)
    app.register_blueprint(pages.blueprint)
