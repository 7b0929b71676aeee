"""The last searches as two models see them: the newest so many, by generation, for as long as somebody needs them."""

from dataclasses import replace

import pytest
from redis import Redis

from services.broker.shadows import Pair, Shadow, Shadows
from services.errors import BrokerUnavailable

SHADOW = Shadow(collection=1, generation=7, model="0" * 64, most=3)


def pair(n: int) -> Pair:
    return Pair(f"before{n}", f"after{n}")


def test_the_last_so_many_are_kept_the_newest_first(valkey: str) -> None:
    shadows = Shadows(valkey)
    for n in range(5):
        shadows.keep(SHADOW, [pair(n)])
    shadows.keep(SHADOW, [])

    assert shadows.read(1, 7) == [pair(4), pair(3), pair(2)]


def test_each_generation_has_its_own_and_is_forgotten_alone(valkey: str) -> None:
    shadows = Shadows(valkey)
    shadows.keep(SHADOW, [pair(1)])
    shadows.keep(replace(SHADOW, generation=8), [pair(2)])
    shadows.keep(replace(SHADOW, collection=2, generation=9), [pair(3)])

    shadows.forget(1, 7)
    shadows.forget_others({(2, 9)})

    assert (shadows.read(1, 7), shadows.read(1, 8), shadows.read(2, 9)) == ([], [], [pair(3)])


def test_nothing_is_kept_for_ever(valkey: str) -> None:
    Shadows(valkey).keep(SHADOW, [pair(1)])

    redis = Redis.from_url(valkey)
    lives_s = [redis.ttl(key) for key in redis.scan_iter("colega:shadow*")]

    assert len(lives_s) == 2
    assert all(0 < each <= 86_400 for each in lives_s)


def test_without_a_broker_it_is_said_to_be_away() -> None:
    with pytest.raises(BrokerUnavailable):
        Shadows("redis://127.0.0.1:1/0").keep(SHADOW, [pair(1)])
