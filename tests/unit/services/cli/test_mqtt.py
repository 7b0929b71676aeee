"""MQTT: which addresses are taken, and what has to be installed."""

import sys

import pytest

from services.cli.mqtt import Address, Mqtt
from services.errors import InvalidRequest
from services.settings.service import MqttSettings


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", Address("broker", 1883, tls=False, prefix="colega", user=None)),
        ("mqtts://me@broker/a/b/", Address("broker", 8883, tls=True, prefix="a/b", user="me")),
        ("mqtt://[::1]:1884", Address("::1", 1884, tls=False, prefix="colega", user=None)),
    ],
)
def test_an_address_says_where_and_under_which_topics(url: str, address: Address) -> None:
    assert Address.of(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mqtt://me:secret@broker", "COLEGA_MQTT_PASSWORD"),
        ("mqtt://", "give mqtt://host"),
        ("mqtt://broker:port", "the port"),
        ("mqtt://broker/a/+/b", "prefix of topics"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says) as refused:
        Address.of(url)

    assert "secret" not in str(refused.value).replace("a password", "")


def test_what_has_to_be_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)

    with pytest.raises(InvalidRequest, match=r"pip install 'colega\[mqtt\]'"):
        Mqtt(Address.of("mqtt://broker"), MqttSettings(), "door", home_assistant=False)
