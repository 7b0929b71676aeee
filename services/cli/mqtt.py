"""MQTT: the matches of a camera as messages, and who is in view as a retained state, in a form that Home Assistant knows."""

import json
import re
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from services.cli import terminal
from services.cli.watching import InView, Told
from services.errors import InvalidRequest
from services.settings.service import MqttSettings

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_PREFIX = "colega"
_DISCOVERY = "homeassistant"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MOST_WAITING = 1000
_KEEPALIVE_S = 30
_AT_LEAST_ONCE = 1


@dataclass(frozen=True, slots=True)
class Address:
    """A broker of messages."""

    host: str
    port: int
    tls: bool
    prefix: str
    user: str | None

    @classmethod
    def of(cls, url: str) -> "Address":
        """``mqtt://[user@]host[:port][/prefix]``; ``mqtts`` with TLS.

        Raises:
            InvalidRequest: It is none, or has a password in it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidRequest("--on-match: the port of the MQTT address is none.") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise InvalidRequest("--on-match: give mqtt://host[:port][/prefix], or mqtts:// for TLS.")
        if parts.password is not None:
            raise InvalidRequest(
                "--on-match: other users of this machine see a password in an address. Set COLEGA_MQTT_PASSWORD, or "
                "COLEGA_MQTT_PASSWORD_FILE."
            )
        prefix = parts.path.strip("/") or _PREFIX
        if re.search(r"[+#\0]", prefix):
            raise InvalidRequest("--on-match: the prefix of topics may not have + or #.")
        return cls(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts", prefix, parts.username)


class Mqtt:
    """A broker of messages that is told. It reconnects by itself; what is published meanwhile is sent then, at least once."""

    def __init__(self, address: Address, settings: MqttSettings, camera: str, *, home_assistant: bool) -> None:
        """Connect in the background.

        Raises:
            InvalidRequest: paho-mqtt is not installed, or the certificates cannot be read.
        """
        try:
            from paho.mqtt.client import Client  # noqa: PLC0415 - only here
            from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415
        except ImportError:
            raise InvalidRequest("--on-match mqtt://… needs paho-mqtt: pip install 'colega[mqtt]'.") from None
        self._camera, self._home_assistant = camera, home_assistant
        self._where = f"{address.host}:{address.port}"
        self._slug = re.sub(r"[^\w-]+", "-", camera, flags=re.ASCII).strip("-").lower() or "camera"
        self._topic = f"{address.prefix}/{self._slug}"
        self._state = ""
        self._complained = ""
        version = CallbackAPIVersion.VERSION2
        self._client = Client(version, client_id=f"colega-{self._slug}-{secrets.token_hex(4)}")
        self._client.max_queued_messages_set(_MOST_WAITING)
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)
        user = address.user or settings.mqtt_user
        if user:
            password = None if settings.mqtt_password is None else settings.mqtt_password.get_secret_value()
            self._client.username_pw_set(user, password)
        if address.tls:
            try:
                self._client.tls_set_context(ssl.create_default_context(cafile=settings.mqtt_ca_file))
            except OSError as error:
                raise InvalidRequest(f"COLEGA_MQTT_CA_FILE cannot be used: {error.strerror or error}.") from None
        self._client.will_set(self._availability, "offline", qos=_AT_LEAST_ONCE, retain=True)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._not_connected
        self._client.on_disconnect = self._disconnected
        self._client.connect_async(address.host, address.port, keepalive=_KEEPALIVE_S)
        self._client.loop_start()

    def told(self, event: Told) -> None:
        """Publish it to ``…/match``, or to ``…/unknown``."""
        self._publish(f"{self._topic}/{event.event}", event.document())

    def in_view(self, now: InView) -> None:
        """Publish who is in view to ``…/state``, where it has changed; retained."""
        state = {"camera": self._camera, "count": len(now.people), "people": now.people, "unknown": now.unknown}
        said = json.dumps(state, ensure_ascii=False)
        if said != self._state:
            self._state = said
            self._client.publish(f"{self._topic}/state", said, qos=_AT_LEAST_ONCE, retain=True)

    def close(self, within_s: float) -> None:
        """Say that nobody is watched any more, and end."""
        ends = time.monotonic() + within_s
        if self._client.is_connected():
            self.in_view(InView())
            last = self._client.publish(self._availability, "offline", qos=_AT_LEAST_ONCE, retain=True)
            try:
                last.wait_for_publish(max(0.0, ends - time.monotonic()))
            except (RuntimeError, ValueError):
                terminal.complain(f"MQTT {self._where}: what was last seen could not be told.")
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def _availability(self) -> str:
        return f"{self._topic}/availability"

    def _publish(self, topic: str, document: dict[str, Any], *, retain: bool = False) -> None:
        self._client.publish(topic, json.dumps(document, ensure_ascii=False), qos=_AT_LEAST_ONCE, retain=retain)

    def _connected(
        self, client: "Client", _data: object, _flags: "ConnectFlags", reason: "ReasonCode", _more: "Properties | None"
    ) -> None:
        if reason.is_failure:
            self._complain(f"{reason}. See COLEGA_MQTT_USER and COLEGA_MQTT_PASSWORD")
            return
        if self._complained:
            terminal.complain(f"MQTT {self._where}: connected.")
            self._complained = ""
        client.publish(self._availability, "online", qos=_AT_LEAST_ONCE, retain=True)
        if self._home_assistant:
            self._discover()
        if self._state:
            client.publish(f"{self._topic}/state", self._state, qos=_AT_LEAST_ONCE, retain=True)

    def _not_connected(self, _client: "Client", _data: object) -> None:
        self._complain("nothing answers there")

    def _disconnected(
        self,
        _client: "Client",
        _data: object,
        _flags: "DisconnectFlags",
        reason: "ReasonCode",
        _more: "Properties | None",
    ) -> None:
        if reason.is_failure:
            self._complain(f"the connection was lost: {reason}")

    def _complain(self, problem: str) -> None:
        """Say it once; it goes on trying."""
        if problem != self._complained:
            self._complained = problem
            terminal.complain(f"MQTT {self._where}: {problem}. It is tried again by itself.")

    def _discover(self) -> None:
        """Tell Home Assistant of the camera: a sensor that says who is in view."""
        name = f"colega_{self._slug.replace('-', '_')}"
        self._publish(
            f"{_DISCOVERY}/sensor/{name}/config",
            {
                "name": "People",
                "unique_id": name,
                "icon": "mdi:face-recognition",
                "state_topic": f"{self._topic}/state",
                "value_template": "{{ value_json.people | join(', ') or 'nobody' }}",
                "json_attributes_topic": f"{self._topic}/state",
                "availability_topic": self._availability,
                "device": {"identifiers": [name], "name": f"colega {self._camera}", "manufacturer": "colega"},
            },
            retain=True,
        )
