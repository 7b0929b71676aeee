"""The gateway: a Flask application put together from its resources. ``of_process`` is what gunicorn calls."""

import secrets
from pathlib import Path

from flask import Response, g, request
from flask_openapi import Info, OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from services.broker.app import celery_app
from services.broker.requests import Asking, Waking
from services.broker.send import Queue
from services.catalog import keys
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.gateway import (
    auth,
    calibrations,
    checks,
    clusters,
    collections,
    computing,
    doors,
    doubtful,
    events,
    faces,
    health,
    idempotency,
    imports,
    jobs,
    keyring,
    live,
    merges,
    metrics,
    models,
    naming,
    openapi,
    people,
    photos,
    problems,
    rebuilds,
    rejections,
    represent,
    search,
    status,
    uploads,
    verify,
    webhooks,
)
from services.gateway.compreface import compreface
from services.gateway.console import console
from services.gateway.doors import Gateway
from services.logs import configure, logger
from services.photos.store import PhotoStore
from services.settings import (
    BrokerSettings,
    CatalogSettings,
    Computing,
    Environment,
    GatewaySettings,
    Home,
    Limits,
    PhotoStoreSettings,
    Telling,
)
from services.version import __version__

RESOURCES = (
    search.resource,
    verify.resource,
    represent.resource,
    people.resource,
    merges.resource,
    photos.resource,
    faces.resource,
    naming.resource,
    rejections.resource,
    clusters.resource,
    doubtful.resource,
    imports.resource,
    jobs.resource,
    events.resource,
    collections.resource,
    models.resource,
    rebuilds.resource,
    computing.resource,
    calibrations.resource,
    checks.resource,
    keyring.resource,
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
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.extensions["colega"] = gateway
    app.before_request(_number_request)
    app.before_request(auth.check)
    app.before_request(uploads.bound)
    app.before_request(idempotency.replay)
    app.after_request(_finish)
    app.after_request(idempotency.remember)
    app.teardown_request(uploads.forget)
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
    """
    environment = Environment.of_process()
    home = environment.load(Home)
    configure(home)
    catalog_settings = environment.load(CatalogSettings)
    broker_url = environment.load(BrokerSettings).broker_url.get_secret_value()
    celery = celery_app(broker_url)
    settings = environment.load(GatewaySettings)
    gateway = Gateway(
        catalog=Catalog(catalog_settings.catalog_url.get_secret_value(), busy_s=catalog_settings.catalog_busy_s),
        store=PhotoStore.of(environment.load(PhotoStoreSettings)),
        probe=PhotoStore.of(environment.load(PhotoStoreSettings), read_timeout_s=1.0),
        queue=Queue(broker_url, celery, chunk=environment.load(Computing).chunk),
        asking=Asking(broker_url, celery),
        waking=Waking(broker_url),
        limits=environment.load(Limits),
        settings=settings,
        data=home.data,
        spool=uploads.make_spool(home.data),
        webhook_private=environment.load(Telling).webhook_private,
    )
    if settings.bootstrap_key_file is not None:
        _take_bootstrap_key(gateway, settings.bootstrap_key_file)
    return create_app(gateway)


def _take_bootstrap_key(gateway: Gateway, path: Path) -> None:
    """Make the key in *path* the first admin key; one that is there already is left alone, and so is any other."""
    secret = path.read_text(encoding="utf-8").strip()
    with gateway.catalog.transaction() as session:
        if not keys.has_admin(session):
            keys.issue(session, "bootstrap", ["admin"], secret=secret)
            return
        try:
            keys.check(session, secret)
        except ColegaError:
            logger().warning("key.bootstrap_refused", reason="another admin key exists")


def _number_request() -> None:
    given = request.headers.get("X-Request-ID", "")
    sane = 8 <= len(given) <= 64 and all(c.isalnum() or c in "-_" for c in given) and given.isascii()
    g.request_id = given if sane else secrets.token_hex(8)


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.is_secure and (hsts_s := doors.gateway().settings.hsts_s):
        response.headers["Strict-Transport-Security"] = f"max-age={hsts_s}"
    response.headers.setdefault("Cache-Control", "no-store")
    metrics.count(response)
    return response
