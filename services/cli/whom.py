"""Whom a command is about, and telling that it is done."""

from services.cli import terminal
from services.cli.client import Client
from services.cli.service import Document
from services.errors import Conflict, NotFound


def one_named(client: Client, who: str) -> Document:
    """The one person of that id or name.

    Raises:
        NotFound: There is none.
        Conflict: Several have that name; their ids are listed.
    """
    if who.startswith("per_"):
        return client.people.show(who)
    found = client.people.named(who)
    if not found:
        raise NotFound("person", who)
    if len(found) > 1:
        ids = ", ".join(f"{person['id']} (external id {person['external_id']})" for person in found)
        raise Conflict(f"{len(found)} people are called {who}: {ids}. Give an id.")
    return found[0]


def done(changed: Document, sentence: str, *, as_json: bool) -> None:
    """Tell what was changed: as a document, or in a *sentence*."""
    if as_json:
        terminal.document(changed)
    else:
        terminal.say(sentence)
