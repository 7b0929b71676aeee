"""Limiting: so many requests a key. Counted in the broker, for all gateways; where that is away, here for this one."""

import time

from flask import Flask, Response, current_app, g
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit

from services.errors import RateExceeded
from services.gateway.doors import Gateway, gateway, key

_WAIT_S = 1
"""For the broker, which is asked at every request. Who has waited longer counts alone, and asks it again after a while."""

_STRATEGY = "sliding-window-counter"


def install(app: Flask, mine: Gateway) -> None:
    """Count the requests of *app* by key. To be called when the key of a request is known to those before."""
    rate = mine.door.rate_limit
    if not rate:
        return
    is_shared = bool(mine.broker_url)
    limiter = Limiter(
        _whose,
        application_limits=[rate],
        storage_uri=mine.broker_url or "memory://",
        storage_options={"socket_connect_timeout": _WAIT_S, "socket_timeout": _WAIT_S} if is_shared else {},
        strategy=_STRATEGY,
        key_prefix="colega",
        in_memory_fallback=[rate] if is_shared else None,
        in_memory_fallback_enabled=is_shared,
        on_breach=_note,
    )
    limiter.request_filter(_nobodys)
    limiter.init_app(app)
    app.register_error_handler(RateLimitExceeded, _refused)


def slow_down(address: str | None) -> None:
    """See that *address* has not shown too many keys that are none.

    Raises:
        RateExceeded: It has.
    """
    if wait_s := gateway().strangers.wait_s(address):
        raise RateExceeded(
            "Too many requests with keys that are none. Wait, then send a valid one.", retry_after_s=wait_s
        )


def _whose() -> str:
    return key().public_id


def _nobodys() -> bool:
    """Health, the docs and what pages are made of: no key is shown there."""
    return "key" not in g


def _note(limit: RequestLimit) -> None:
    """Remember which limit it was. To raise here would be taken for a fault of the broker."""
    g.exceeded = limit


def _refused(error: RateLimitExceeded) -> Response:
    """As every error of ours, in the shape that the caller's part of the API has for it."""
    limit: RequestLimit = g.exceeded
    wait_s = max(1, round(limit.reset_at - time.time()))
    refused = RateExceeded(
        f"This key has made more than {error.limit.limit} requests. Wait {wait_s} s, or have COLEGA_RATE_LIMIT raised.",
        retry_after_s=wait_s,
    )
    return current_app.make_response(current_app.handle_user_exception(refused))
