"""Webhooks: who is told of what happens, made, listed, tried and ended, and what became of what they were told."""

from typing import Annotated, Any, Literal

from flask import url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services import targets
from services.catalog.schema import Collection
from services.catalog.tables.webhook import Delivery, Webhook
from services.catalog.telling import deliveries, webhooks
from services.catalog.telling.deliveries import Counted
from services.errors import Forbidden, NotFound
from services.gateway.answers import time_of
from services.gateway.doors import Page, Resource, Taken, collection_of, gateway, key
from services.gateway.paging import number_after, page_of

resource = Resource("webhooks", "Addresses that are told what happens")

Event = Literal["job.ended", "rebuild.state", "live.match"]


class WebhookPath(BaseModel):
    """Which webhook."""

    webhook_id: str = Field(max_length=64)


class WebhookIn(Taken):
    """Whom to tell, and of what."""

    url: Annotated[str, Field(min_length=1, max_length=targets.LONGEST_URL)] = Field(
        description="An http:// or https:// address, without name and password. Redirects are not followed."
    )
    events: list[Event] = Field(min_length=1, max_length=10, description="live.match tells who was seen.")
    collection: str | None = Field(default=None, max_length=64, description="Only what happens there; null: in all.")


class WebhookOut(BaseModel):
    """A webhook; the secret only in the answer that made it."""

    id: str
    url: str
    events: list[str]
    collection: str | None = Field(description="Null: all.")
    created_by: str = Field(description="Name of the key that made it.")
    created_at: str
    waiting: int = Field(description="Deliveries still to be made.")
    failing: int = Field(description="Of those: tried, and not arrived yet.")
    given_up: int = Field(description="In the last seven days.")
    secret: str | None = Field(default=None, description="By which deliveries are signed. Shown once.")


class WebhooksOut(BaseModel):
    """Every webhook."""

    items: list[WebhookOut]
    next_cursor: str | None


class TestOut(BaseModel):
    """A test that is on its way."""

    event: str = Field(description="Its id; the deliveries tell whether it arrived.")


class DeliveryQuery(Page):
    """Which deliveries."""

    state: Literal["waiting", "delivered", "given_up"] | None = None


class DeliveryOut(BaseModel):
    """An event on its way to a webhook, or how that ended."""

    event: str
    kind: str
    subject: str
    state: str = Field(description="waiting, delivered or given_up")
    attempts: int
    status: int | None = Field(description="HTTP status of the last attempt; null where nobody answered.")
    error: str | None
    created_at: str
    next_at: str | None = Field(description="Not before; null where it has ended.")
    finished_at: str | None


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


@resource.door("get", "/webhooks", "admin", responses={200: WebhooksOut})
def index() -> ResponseReturnValue:
    """Every webhook, with how much waits for it."""
    with gateway().catalog.reading() as session:
        counted = deliveries.counts(session)
        found = [row for row in webhooks.all_of(session) if _is_mine(row[1])]
    return {"items": [_told(*row, counted.get(row[0].id)) for row in found], "next_cursor": None}


@resource.door("post", "/webhooks", "admin", responses={201: WebhookOut})
def create(body: WebhookIn) -> ResponseReturnValue:
    """Have an address told of what happens from now on. The secret is in this answer and nowhere else."""
    url = targets.checked(body.url, private=gateway().webhook_private)
    with gateway().catalog.transaction() as session:
        collection = None if body.collection is None else collection_of(session, body.collection)
        if not _is_mine(collection):
            allowed = ", ".join(key().collections or ())
            raise Forbidden(f"This key is limited to collections. Give one of them for the webhook: {allowed}.")
        about = None if collection is None else collection.id
        webhook = webhooks.create(session, url, body.events, about, by=key().name)
        session.refresh(webhook)
    told = _told(webhook, collection, None)
    return {**told, "secret": webhook.secret}, 201, {"Location": url_for("webhooks.show", webhook_id=webhook.public_id)}


@resource.door("get", "/webhooks/<webhook_id>", "admin", responses={200: WebhookOut})
def show(path: WebhookPath) -> ResponseReturnValue:
    """One webhook."""
    with gateway().catalog.reading() as session:
        webhook, collection = _one(session, path.webhook_id)
        return _told(webhook, collection, deliveries.counts(session).get(webhook.id))


@resource.door("delete", "/webhooks/<webhook_id>", "admin")
def delete(path: WebhookPath) -> ResponseReturnValue:
    """End a webhook; what it was still to be told is forgotten."""
    with gateway().catalog.transaction() as session:
        webhooks.delete(session, _one(session, path.webhook_id)[0])
    return "", 204


@resource.door("post", "/webhooks/<webhook_id>/test", "admin", responses={202: TestOut})
def test(path: WebhookPath) -> ResponseReturnValue:
    """Send one event of the kind webhook.test, and try it once."""
    with gateway().catalog.transaction() as session:
        event = webhooks.try_out(session, _one(session, path.webhook_id)[0])
    place = url_for("webhooks.deliveries_of", webhook_id=path.webhook_id)
    return {"event": event}, 202, {"Location": place}


@resource.door("get", "/webhooks/<webhook_id>/deliveries", "admin", responses={200: DeliveryPage})
def deliveries_of(path: WebhookPath, query: DeliveryQuery) -> ResponseReturnValue:
    """What a webhook was told in the last seven days and is still to be told, newest first."""
    with gateway().catalog.reading() as session:
        webhook, _ = _one(session, path.webhook_id)
        before = number_after(query.cursor) or None
        found = deliveries.page(session, webhook, limit=query.limit + 1, before=before, state=query.state)
    rows = [(_delivery_told(one), one.id) for one in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


def _one(session: Session, public_id: str) -> tuple[Webhook, Collection | None]:
    """The webhook of that id.

    Raises:
        NotFound: There is none, or the key may not touch what it is about: one cannot be told from the other.
    """
    webhook, collection = webhooks.by_public_id(session, public_id)
    if not _is_mine(collection):
        raise NotFound("webhook", public_id)
    return webhook, collection


def _is_mine(about: Collection | None) -> bool:
    """Whether the key may touch a webhook about that collection, or about all."""
    allowed = key().collections
    return allowed is None or (about is not None and about.name in allowed)


def _told(webhook: Webhook, about: Collection | None, counted: Counted | None) -> dict[str, Any]:
    """See :class:`WebhookOut`."""
    counted = counted or Counted(0, 0, 0)
    return {
        "id": webhook.public_id,
        "url": webhook.url,
        "events": webhook.events,
        "collection": None if about is None else about.name,
        "created_by": webhook.created_by,
        "created_at": time_of(webhook.created_at),
        "waiting": counted.waiting,
        "failing": counted.failing,
        "given_up": counted.given_up,
    }


def _delivery_told(one: Delivery) -> dict[str, Any]:
    """See :class:`DeliveryOut`."""
    return {
        "event": one.event,
        "kind": one.kind,
        "subject": one.subject,
        "state": one.state,
        "attempts": one.attempts,
        "status": one.status,
        "error": one.error,
        "created_at": time_of(one.created_at),
        "next_at": time_of(one.next_at) if one.state == deliveries.WAITING else None,
        "finished_at": time_of(one.finished_at),
    }
