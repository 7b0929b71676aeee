"""The gateway: a Flask application put together from its resources. ``of_process`` is what gunicorn calls."""

import atexit
import time
from contextlib import suppress
from pathlib import Path

from flask import Response, g
from flask_openapi import Info, OpenAPI
from sqlalchemy.exc import IntegrityError
from werkzeug.middleware.proxy_fix import ProxyFix

from services import tracing
from services.broker.app import celery_app
from services.broker.requests import Asking
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import keys
from services.catalog.auditing import writing as audit_rows
from services.catalog.engine import Catalog
from services.errors import CannotStart, ColegaError, Conflict
from services.gateway import (
    backups,
    checks,
    collections,
    events,
    faces,
    idempotency,
    openapi,
    people,
    photos,
    problems,
    sealing,
    uploads,
    webhooks,
)
from services.gateway.auditing import audit
from services.gateway.auditing import requests as auditing
from services.gateway.compreface import compreface
from services.gateway.console import console
from services.gateway.doors import Gateway
from services.gateway.guarding import admission, auth, documents, keyring, limiting, protecting, reserve
from services.gateway.importing import imports, jobs, sources
from services.gateway.modelling import calibrations, computing, models, rebuilds
from services.gateway.observing import health, lines, metrics, status
from services.gateway.privacy import consents, erasures, exporting
from services.gateway.privacy import report as privacy
from services.gateway.reviewing import clusters, doubtful, merges, naming, rejections
from services.gateway.searching import live, represent, search, verify
from services.logs import configure, logger
from services.photos.store import PhotoStore
from services.settings.audit import Auditing
from services.settings.door import DoorSettings
from services.settings.erasing import Erasing
from services.settings.privacy import Privacy
from services.settings.service import (
    BrokerSettings,
    CatalogSettings,
    Computing,
    Environment,
    GatewaySettings,
    Home,
    Limits,
    PhotoStoreSettings,
    Telling,
    Tracing,
)
from services.vault import Vault
from services.version import __version__

_PATIENCE_S = 5.0
"""Beyond what a writer may wait for another one, before a catalog that does not answer is taken for away."""

RESOURCES = (
    search.resource,
    verify.resource,
    represent.resource,
    people.resource,
    merges.resource,
    consents.resource,
    exporting.resource,
    privacy.resource,
    erasures.resource,
    photos.resource,
    faces.resource,
    naming.resource,
    rejections.resource,
    clusters.resource,
    doubtful.resource,
    imports.resource,
    sources.resource,
    jobs.resource,
    events.resource,
    collections.resource,
    models.resource,
    rebuilds.resource,
    computing.resource,
    calibrations.resource,
    checks.resource,
    backups.resource,
    keyring.resource,
    sealing.resource,
    audit.resource,
    webhooks.resource,
    live.resource,
    status.resource,
)


def create_app(gateway: Gateway) -> OpenAPI:
    """The application over what *gateway* has open. Nothing is connected before the first request."""
    app = OpenAPI(
        __name__,
        info=Info(title="colega", version=__version__, description="Which colleague is this?"),
        security_schemes={
            "key": {"type": "http", "scheme": "bearer"},
            "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        },
        validation_error_callback=problems.invalid,
        validation_error_model=openapi.Problem,
        doc_prefix="/docs",
        doc_url="/openapi.json",
        static_folder=None,
    )
    app.request_class = uploads.UploadRequest
    if proxies := gateway.settings.trusted_proxies:
        believed = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)
        app.wsgi_app = believed  # type: ignore[method-assign]
    app.json = documents.Documents(app)
    app.extensions["colega"] = gateway
    app.before_request(lines.begin)
    app.before_request(admission.turn_away)
    reserve.register(app, gateway.settings.gateway_threads)
    protecting.register(app)
    app.before_request(uploads.bound)
    app.before_request(auth.check)
    limiting.install(app, gateway)
    app.before_request(admission.enter)
    app.after_request(_finish)
    auditing.register(app)
    app.before_request(idempotency.replay)
    app.after_request(idempotency.remember)
    app.teardown_request(uploads.forget)
    app.teardown_request(admission.leave)
    app.teardown_request(lines.end)
    problems.register(app)
    for resource in RESOURCES:
        app.register_api(resource)
    compreface.register(app)
    health.register(app)
    metrics.register(app)
    openapi.register(app)
    console.register(app)
    return app


def of_process() -> OpenAPI:
    """The application by this process's settings.

    Raises:
        InvalidSettings: A setting cannot be used.
        CannotStart: A wrapping key is missing, or the first key's file.
    """
    environment = Environment.of_process()
    home = environment.load(Home)
    configure(home)
    tracing.configure(environment.load(Tracing), "gateway")
    catalog_settings = environment.load(CatalogSettings)
    broker_url = environment.load(BrokerSettings).broker_url.get_secret_value()
    celery = celery_app(broker_url)
    settings = environment.load(GatewaySettings)
    catalog = Catalog(
        catalog_settings.catalog_url.get_secret_value(),
        busy_s=catalog_settings.catalog_busy_s,
        answers_within_s=catalog_settings.catalog_busy_s + _PATIENCE_S,
    )
    gateway = Gateway(
        catalog=catalog,
        store=Vault.of(environment, catalog),
        probe=PhotoStore.of(environment.load(PhotoStoreSettings), read_timeout_s=1.8),
        queue=Queue(broker_url, celery, chunk=environment.load(Computing).chunk),
        asking=Asking(broker_url, celery),
        waking=Waking(broker_url),
        limits=environment.load(Limits),
        settings=settings,
        door=environment.load(DoorSettings),
        auditing=environment.load(Auditing),
        broker_url=broker_url,
        data=home.data,
        spool=uploads.make_spool(home.data),
        require_basis=environment.load(Privacy).require_basis,
        erase_within_s=environment.load(Erasing).erase_within_h * 3600,
        webhook_private=environment.load(Telling).webhook_private,
    )
    if gateway.store.wrapping is None:
        logger().warning("objects.unsealed", reason="COLEGA_WRAPPING_KEYS is not set: photos are kept as they come.")
    if settings.bootstrap_key_file is not None:
        _take_bootstrap_key(gateway, settings.bootstrap_key_file)
    atexit.register(gateway.auditor.close)
    return create_app(gateway)


def _take_bootstrap_key(gateway: Gateway, path: Path) -> None:
    """Make the key in *path* the first admin key, where none is in force. One that was revoked stays so."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CannotStart(f"COLEGA_BOOTSTRAP_KEY_FILE={path} cannot be read: {error.strerror}.") from error
    # What is suppressed: it was a key and is revoked, or a gateway beside this one has just made it one.
    with suppress(Conflict, IntegrityError), gateway.catalog.transaction() as session:
        if not keys.has_admin(session):
            made, _ = keys.issue(session, "bootstrap", ["admin"], secret=secret)
            audit_rows.alone(
                session, audit_rows.Entry(round(time.time(), 3), None, "key.create", object=made.public_id)
            )
            return
    with gateway.catalog.reading() as session:
        try:
            keys.check(session, secret)
        except ColegaError:
            logger().warning("key.bootstrap_refused", reason="it has ended, or another admin key exists")


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    metrics.count(response)
    lines.answered(response)
    return response
