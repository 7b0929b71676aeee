"""Review: what a person should look at. Faces of nobody, people who may be one, photos that may be under a wrong name."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from services.catalog import faces
from services.catalog.rebuilding import findings
from services.gateway.console.pages import collection, page
from services.gateway.doors import collection_of, gateway

QUEUES = ("groups", "single", "pairs", "doubts", "poor", "found")
"""What is looked at in turn; the last is there where a rebuild has found faces more than once."""


@page("/review", "manage")
def review() -> ResponseReturnValue:
    """One queue, which js/review/review.js fills over ``/v1``; with how much waits in those that are counted in no time."""
    with gateway().catalog.reading() as session:
        one = collection_of(session, collection())
        undecided = findings.undecided(session, one.id)
        waiting = {
            "single": faces.count_unassigned(session, one.id),
            "found": 0 if undecided is None else undecided.faces,
        }
    asked = request.args.get("show", QUEUES[0])
    queues = [name for name in QUEUES if name != "found" or undecided is not None]
    return render_template(
        "review.html",
        show=asked if asked in queues else QUEUES[0],
        queues=queues,
        waiting=waiting,
        head=one.head,
        rebuild=None if undecided is None else undecided.rebuild,
    )
