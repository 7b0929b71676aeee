"""How a resource is written: what the gateway has open, and doors that say which scope they need."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeVar, cast

from flask import current_app, g, request
from flask_openapi import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.orm import Session

from services.broker.requests import Asking
from services.broker.send import Queue
from services.broker.waking import Waking
from services.calibrated import Calibrated
from services.catalog import calibrations, collections, models
from services.catalog.engine import Catalog
from services.catalog.erasing.ledger import WITHIN_S
from services.catalog.schema import ApiKey, Collection, Model
from services.errors import NotFound
from services.gateway.auditing.auditor import Auditor
from services.gateway.guarding.attempts import Attempts
from services.gateway.guarding.places import Places
from services.gateway.guarding.rates import Rate
from services.gateway.guarding.remembered import Remembered
from services.photos.store import PhotoStore
from services.settings.audit import Auditing
from services.settings.door import DoorSettings
from services.settings.service import GatewaySettings, Limits
from services.vault import Vault

SCOPES: dict[str, str] = {}
"""Which scope each endpoint needs, by its Flask name. What is not here and not public is refused."""

IN_MEMORY: set[str] = set()
"""Endpoints whose photos are looked at and forgotten: they are never written to a file."""

PHOTOS_AT_ONCE: dict[str, float] = {"verify.compare": 2}
"""How many photos' bytes the request of such an endpoint may have, where it is not one."""

PHOTOS_IN_JSON: set[str] = set()
"""Endpoints that take photos as base64 in JSON, too."""

_SCHEMAS: dict[type[BaseModel], dict[str, Any]] = {}

_MOST_JOINS = 4
_WAITS_S = 0.25
_MATCHES_PER_S, _MATCHES_AT_ONCE = 20.0, 200

_F = TypeVar("_F", bound=Callable[..., Any])


class Known:
    """What a search needs at its start and what hardly ever changes: models by number, sizes of galleries, calibrations.

    A model's content never changes under its number but for its table of thresholds, so it is read again after a minute;
    a gallery's size is counted anew when so many changes have come since that it may be off by a hundredth: counting a
    hundred thousand people takes longer than searching them, and while some are enrolled every search would.
    """

    _MODEL_LIVES_S = 60.0
    _PEOPLE_OFF_BY = 0.01
    _NOTED_EVERY_S = 15.0

    def __init__(self) -> None:
        self._models: dict[int, tuple[float, Model]] = {}
        self._people: dict[int, tuple[tuple[str, int], int, int]] = {}
        self._calibrations: dict[int, tuple[float, Calibrated]] = {}
        self._noted: dict[tuple[str, int], float] = {}

    def may_note(self, what: str, number: int) -> bool:
        """Whether it is time to write down again that a key or a session was used: once a quarter of a minute at most."""
        now_s = time.monotonic()
        if now_s - self._noted.get((what, number), -self._NOTED_EVERY_S) < self._NOTED_EVERY_S:
            return False
        self._noted = {each: at for each, at in self._noted.items() if now_s - at < self._NOTED_EVERY_S}
        self._noted[what, number] = now_s
        return True

    def model(self, session: Session, model_id: int) -> Model:
        """The model of that number."""
        read_at, model = self._models.get(model_id, (0.0, None))
        if model is None or time.monotonic() - read_at > self._MODEL_LIVES_S:
            model = models.by_id(session, model_id)
            self._models[model_id] = (time.monotonic(), model)
        return model

    def forget(self, model_id: int) -> None:
        """Read that model anew when it is needed next: what is beside its content has changed."""
        self._models.pop(model_id, None)

    def people(self, session: Session, collection: Collection) -> int:
        """How many are enrolled in a collection, to a hundredth: a change in its log is of one face, thus of one person at most."""
        of = (collection.epoch, collection.round)
        counted, head, people = self._people.get(collection.id, (("", -1), 0, 0))
        if counted != of or abs(collection.head - head) > people * self._PEOPLE_OFF_BY:
            people = collections.enrolled(session, collection.id)
            self._people[collection.id] = (of, collection.head, people)
        return people

    def calibration(self, session: Session, generation_id: int) -> Calibrated | None:
        """The calibration of a generation, opened once a fit."""
        fitted_at = calibrations.fitted_at(session, generation_id)
        opened_for, calibrated = self._calibrations.get(generation_id, (None, None))
        if fitted_at == opened_for:
            return calibrated
        row = calibrations.of(session, generation_id)
        if row is None:
            self._calibrations.pop(generation_id, None)
            return None
        calibrated = Calibrated(row.curves)
        self._calibrations[generation_id] = (row.created_at, calibrated)
        return calibrated


@dataclass
class Gateway:
    """What one gateway process has open."""

    catalog: Catalog
    store: Vault
    probe: PhotoStore
    """The same store, asked impatiently: for health."""
    queue: Queue
    asking: Asking
    waking: Waking
    limits: Limits
    settings: GatewaySettings
    data: Path
    spool: Path
    require_basis: bool = False
    """Whether nobody is enrolled without a lawful basis and, where that is consent, without theirs."""
    erase_within_s: float = WITHIN_S
    """By when nothing is left of what is deleted for good."""
    webhook_private: bool = True
    """Whether webhooks may go to private addresses."""
    known: Known = field(default_factory=Known)
    under_way: set[tuple[int, str]] = field(default_factory=set)
    """Requests with an idempotency key that are being worked on: number of the API key, and that key."""
    attempts: Attempts = field(default_factory=Attempts)
    """To sign in to the console."""
    remembered: Remembered = field(default_factory=Remembered)
    """Who was let in lately."""
    door: DoorSettings = field(default_factory=DoorSettings)
    auditing: Auditing = field(default_factory=Auditing)
    auditor: Auditor = field(init=False)
    """Writes down who did what."""
    broker_url: str = ""
    """Where requests are counted for all gateways; empty: here, for this one."""
    strangers: Attempts = field(init=False)
    """With keys that are none."""
    uploads: Places = field(init=False)
    searches: Places = field(init=False)
    streams: BoundedSemaphore = field(init=False)
    joins: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(_MOST_JOINS))
    """Places for questions about who looks alike."""
    matches: Rate = field(default_factory=lambda: Rate(_MATCHES_PER_S, _MATCHES_AT_ONCE))
    """How many live matches are taken."""

    def __post_init__(self) -> None:
        self.auditor = Auditor(self.catalog, self.auditing)
        self.strangers = Attempts(most=self.door.attempts_per_minute)
        self.uploads = _places(self.door.max_uploads, "Too many uploads at once. Send the next when one is answered.")
        self.searches = _places(self.limits.max_searches, "Too many searches at once. Try again in a moment.")
        self.streams = BoundedSemaphore(self.limits.event_streams)


def _places(count: int, refusal: str) -> Places:
    return Places(count, waiting=count, wait_s=_WAITS_S, refusal=refusal)


def gateway() -> Gateway:
    """What this process has open."""
    return cast("Gateway", current_app.extensions["colega"])


def key() -> ApiKey:
    """The key of the request."""
    return cast("ApiKey", g.key)


class Taken(BaseModel):
    """What a request may carry; what is not named here is refused."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - pydantic's
        """As pydantic's, made once: flask-openapi asks for it at every request, which costs a millisecond."""
        if args or kwargs:
            return super().model_json_schema(*args, **kwargs)
        if cls not in _SCHEMAS:
            _SCHEMAS[cls] = super().model_json_schema()
        return _SCHEMAS[cls]


class MayBeLeftOut(Taken):
    """A body that a request need not have."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_all_defaults(cls, data: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
        return {} if data is None and not request.content_length else data


class InCollection(Taken):
    """Every endpoint takes the collection."""

    collection: str = Field(default=collections.DEFAULT, max_length=64, description="Whom it is about.")


class Page(InCollection):
    """How lists page."""

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = Field(default=None, max_length=1024, description="`next_cursor` of the page before.")


class Resource(APIBlueprint):
    """A blueprint whose doors name the scope they need and whether photos stay in memory."""

    def __init__(self, name: str, about: str) -> None:
        super().__init__(
            name, f"services.gateway.{name}", url_prefix="/v1", abp_tags=[Tag(name=name, description=about)]
        )

    def door(
        self,
        method: str,
        rule: str,
        scope: str,
        *,
        in_memory: bool = False,
        **documented: Any,  # noqa: ANN401 - flask-openapi's
    ) -> Callable[[_F], _F]:
        """A route. *scope* (one, or ``one or another``) is checked before anything of the request's body is read."""
        return lambda function: opened(self, method, rule, scope, function, in_memory=in_memory, **documented)


def opened(
    on: APIBlueprint,
    method: str,
    rule: str,
    scope: str,
    function: _F,
    *,
    in_memory: bool,
    shown_as: str = "key",
    **documented: Any,  # noqa: ANN401 - flask-openapi's
) -> _F:
    """*function* as a route of *on*, for keys with *scope* that are shown as OpenAPI's security scheme *shown_as*."""
    endpoint = f"{on.name}.{function.__name__}"
    SCOPES[endpoint] = scope
    function.__annotations__.pop("return", None)  # Flask's type for it cannot be evaluated outside Flask.
    if in_memory:
        IN_MEMORY.add(endpoint)
    return cast("_F", getattr(on, method)(rule, security=[{shown_as: []}], **documented)(function))


def collection_of(session: Session, name: str) -> Collection:
    """The collection of a request.

    Raises:
        NotFound: There is none, or the key may not touch it: one cannot be told from the other.
    """
    allowed = key().collections
    if allowed is not None and name not in allowed:
        raise NotFound("collection", name)
    found = collections.by_name(session, name)
    g.audited_collection = found.name  # It is there: a name that somebody made up is not written down.
    return found
