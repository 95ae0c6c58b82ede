"""The line to the broker: MQTT 3.1.1 over TLS with a client certificate. Knows no meaning.

Each connection is a new paho client, so that nothing of an old one is sent again behind the back
of sync_flow. One thread keeps the line up; it and paho's own only tell the listener.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocol.errors import BadTopic, TooLarge
from protocol.topics import RETAINED, Address, Down, Up, parse_down, terminal_filter, up_topic

# Far below every broker's limit: a larger message would close the line again and again.
MESSAGE_BYTES_MAX = 64 * 1024
KEEPALIVE_S = 30
CONNECT_S = 5.0
# Pauses between attempts: uniform between 0 and a bound that doubles, so that five thousand
# terminals that lost the same broker do not come back in the same second.
BACK_OFF_FIRST_S = 0.5
BACK_OFF_MOST_S = 15.0
# A line that stood so long was a good one; a shorter one counts as a failed attempt, because a
# terminal that is thrown out at once (another has its name) must not come back at once for ever.
# More would add the outages of a bad quarter of an hour up to a pause that none of them is worth.
STOOD_S = 5.0
# Batches in flight, status, reported and answers; more means that the line takes nothing.
OUTSTANDING_MAX = 64

_MESSAGE_IDS = 1 << 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """Where the broker is, who we are, and how we prove it (PEM files)."""

    at: Address
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the link needs of the world.

    ``uniform`` gives random numbers below 1, ``mono_s`` is a clock in seconds, ``session`` names
    the next connection, ``will`` is the status that the broker publishes if that one breaks.
    """

    uniform: Callable[[], float]
    mono_s: Callable[[], float]
    session: Callable[[], str]
    will: Callable[[str], bytes]


class LinkListener(Protocol):
    """Who is told. Called from the link's threads; must return at once."""

    def on_line_up(self, session: str) -> None:
        """The line stands and is subscribed."""

    def on_line_down(self) -> None:
        """It does not any more."""

    def on_delivered(self, number: int) -> None:
        """The broker has the message that publish gave this number."""

    def on_message(self, leaf: Down, payload: bytes) -> None:
        """The cloud said something."""


class MqttLink:
    """See edge.ports.Link."""

    _listener: LinkListener

    def __init__(self, settings: LinkSettings, world: World) -> None:
        self._settings, self._world = settings, world
        self._stopping = threading.Event()
        self._ended = threading.Event()  # of the present connection
        self._client: mqtt.Client | None = None  # set while the line is up
        self._connection = 0
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self, listener: LinkListener) -> None:
        """Begin, and tell ``listener`` from now on; returns at once."""
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye to the broker, so that it publishes no will, and end."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.disconnect()
        else:
            self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(CONNECT_S)

    def publish(self, leaf: Up, payload: bytes) -> int | None:
        """See edge.ports.Link."""
        if len(payload) > MESSAGE_BYTES_MAX:
            raise TooLarge(f"message of {len(payload)} bytes, at most {MESSAGE_BYTES_MAX}")
        client, connection = self._client, self._connection
        if client is None:
            return None
        topic = up_topic(self._settings.at, leaf)
        info = client.publish(topic, payload, qos=1, retain=leaf in RETAINED)
        taken = info.rc == mqtt.MQTT_ERR_SUCCESS
        return connection * _MESSAGE_IDS + info.mid if taken else None

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._world.mono_s()
            try:
                self._hold_line()
            except Exception:  # noqa: BLE001 - a terminal whose link thread ended would never drain
                _log.exception("the link failed and goes on")
            stood = self._world.mono_s() - began
            failures = 0 if stood >= STOOD_S else failures + 1
            self._stopping.wait(back_off_s(failures, self._world.uniform()))

    def _hold_line(self) -> None:
        """Connect, and return when the line is gone."""
        settings = self._settings
        session = self._world.session()
        self._ended.clear()
        if self._stopping.is_set():
            return
        self._connection += 1
        client = self._new_client(session)
        try:
            client.connect(settings.host, settings.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            _log.info("no line to %s:%s: %s", settings.host, settings.port, error)
            return
        client.loop_start()
        self._ended.wait()
        client.loop_stop()
        was_up, self._client = self._client is not None, None
        if was_up:
            self._listener.on_line_down()

    def _new_client(self, session: str) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.at.terminal,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(OUTSTANDING_MAX)
        client.max_queued_messages_set(OUTSTANDING_MAX)
        client.on_socket_open = _at_once
        client.tls_set(str(settings.ca), str(settings.certificate), str(settings.key))
        will_topic = up_topic(settings.at, Up.STATUS)
        client.will_set(will_topic, self._world.will(session), qos=1, retain=True)
        number = self._connection * _MESSAGE_IDS

        def on_connect(_client: mqtt.Client, _data: Any, _flags: Any, code: Any, _p: Any) -> None:
            if code.is_failure:
                _log.warning("the broker refuses the terminal: %s", code)
            else:
                client.subscribe(terminal_filter(settings.at), qos=1)

        def on_subscribe(_c: mqtt.Client, _data: Any, _mid: int, codes: Any, _p: Any) -> None:
            if any(code.is_failure for code in codes):
                _log.warning("the broker refuses the subscription")
                client.disconnect()
            else:
                self._client = client
                self._listener.on_line_up(session)

        def on_publish(_c: mqtt.Client, _data: Any, mid: int, _code: Any, _p: Any) -> None:
            self._listener.on_delivered(number + mid)

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_publish = on_publish
        client.on_message = self._on_message
        client.on_disconnect = lambda *_: self._ended.set()
        return client

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            at, leaf = parse_down(message.topic)
        except BadTopic as error:
            _log.warning("%s", error)
            return
        if at == self._settings.at:
            self._listener.on_message(leaf, bytes(message.payload))


def _at_once(_client: mqtt.Client, _data: Any, line: Any) -> None:
    """Send what is written now: Nagle waits with a last piece for the other side's delayed ACK."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def back_off_s(failures: int, uniform: float) -> float:
    """Pause after so many failed attempts in a row; ``uniform`` is a random number below 1."""
    return uniform * min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2.0 ** min(failures, 30))
