"""Wrapped keys: which wrapping key opens them, and what they are for."""

import base64
import re

import pytest
from pydantic import SecretStr

from services.errors import InvalidSettings, WrappingKeyMissing
from services.photos import wrapping
from services.photos.wrapping import ID_AT, ID_BYTES, Wrapping

OLD, NEW = bytes(32), bytes(range(32))
KEY = b"k" * 32


def setting(*keys: bytes, between: str = "\n") -> SecretStr:
    return SecretStr(between.join(base64.b64encode(key).decode() for key in keys))


def test_a_wrapped_key_unwraps_for_its_purpose_alone() -> None:
    wrapped = Wrapping([NEW]).wrap(KEY, "pho_a")

    assert Wrapping([NEW]).unwrap(wrapped, "pho_a") == KEY
    assert KEY not in wrapped
    with pytest.raises(WrappingKeyMissing, match="pho_b"):
        Wrapping([NEW]).unwrap(wrapped, "pho_b")


@pytest.mark.parametrize("at", [1, 9, 20, 30, 68])
def test_a_changed_wrapping_does_not_unwrap(at: int) -> None:
    wrapped = bytearray(Wrapping([NEW]).wrap(KEY, "pho_a"))
    wrapped[at] ^= 1

    with pytest.raises(WrappingKeyMissing):
        Wrapping([NEW]).unwrap(bytes(wrapped), "pho_a")


def test_the_newest_wraps_and_all_unwrap() -> None:
    both, before = Wrapping([NEW, OLD]), Wrapping([OLD]).wrap(KEY, "x")
    now = both.wrap(KEY, "x")

    assert both.unwrap(before, "x") == both.unwrap(now, "x") == KEY
    assert now[ID_AT : ID_AT + ID_BYTES] == both.newest == wrapping.id_of(NEW)
    assert both.ids == [wrapping.id_of(NEW).hex(), wrapping.id_of(OLD).hex()]


def test_a_key_that_is_missing_is_named_with_the_setting() -> None:
    wrapped = Wrapping([OLD]).wrap(KEY, "x")

    with pytest.raises(WrappingKeyMissing, match=f"{wrapping.id_of(OLD).hex()}.*COLEGA_WRAPPING_KEYS"):
        Wrapping([NEW]).unwrap(wrapped, "x")


@pytest.mark.parametrize("between", ["\n", " ", ",", ", ", "\r\n"])
def test_the_setting_has_keys_newest_first(between: str) -> None:
    found = Wrapping.of(setting(NEW, OLD, between=between))

    assert found is not None
    assert found.ids == Wrapping([NEW, OLD]).ids


@pytest.mark.parametrize("none", [None, SecretStr(""), SecretStr(" \n")])
def test_without_keys_there_is_no_wrapping(none: SecretStr | None) -> None:
    assert Wrapping.of(none) is None


@pytest.mark.parametrize("bad", ["hunter2", base64.b64encode(bytes(16)).decode(), "A" * 43, "é" * 44])
def test_what_is_no_key_is_refused_without_repeating_it(bad: str) -> None:
    with pytest.raises(InvalidSettings, match="256 bits in base64") as refused:
        Wrapping.of(SecretStr(bad))

    assert bad not in str(refused.value)


def test_a_key_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="twice"):
        Wrapping.of(setting(NEW, OLD, NEW))


def test_a_generated_key_is_one() -> None:
    made = wrapping.generated()

    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", made)
    assert made != wrapping.generated()
    assert Wrapping.of(SecretStr(made)) is not None
