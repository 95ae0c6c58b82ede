"""The cloud's line to the broker: MQTT 3.1.1 over TLS with a client certificate. Knows no meaning.

Messages are acknowledged one by one, by whoever took them in, after the commit: what is not
acknowledged comes again. Each connection is a new paho client over the broker's kept session.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from protocol.topics import cloud_filter

KEEPALIVE_S = 30
CONNECT_S = 5.0
# Watermarks and lists on their way out. Above a few hundred paho slows down with each PUBACK.
OUTSTANDING_MAX = 200
# Beyond them so many wait in memory; what is refused then is asked for again by its terminal.
WAITING_MAX = 5_000
# Pauses between attempts: uniform below a bound that doubles; the fleet waits for us, so it ends
# early.
BACK_OFF_FIRST_S = 0.25
BACK_OFF_MOST_S = 10.0
# A line that stood so long was a good one; a shorter one counts as a failed attempt.
STOOD_S = 30.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Where the broker is, and how we prove who we are (PEM files).

    ``client_id`` names the session that the broker keeps; it is a secret (cloud.keys).
    """

    client_id: str
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


class Arrival(Protocol):
    """A message that came; ``done`` lets the broker forget it."""

    topic: str
    payload: bytes

    def done(self) -> None: ...


class MqttListener(Protocol):
    """Who is told. Called from the line's threads."""

    def on_line_up(self) -> None:
        """The line stands and is subscribed."""

    def on_message(self, arrival: Arrival) -> None:
        """May wait: the broker holds back what it must not send yet."""


@dataclass(slots=True)
class _Arrival:
    topic: str
    payload: bytes
    _client: mqtt.Client
    _mid: int
    _is_done: bool = False

    def done(self) -> None:
        """Acknowledge once; on a line that is gone it does nothing, and the message comes again."""
        if not self._is_done:  # the broker may give the number to another message
            self._is_done = True
            self._client.ack(self._mid, 1)


class MqttLine:
    """``uniform`` gives random numbers below 1, ``mono_s`` is a clock in seconds."""

    _listener: MqttListener

    def __init__(
        self,
        settings: MqttSettings,
        tenant: str,
        uniform: Callable[[], float],
        mono_s: Callable[[], float],
    ) -> None:
        self._settings, self._tenant = settings, tenant
        self._uniform, self._mono_s = uniform, mono_s
        self._stopping = threading.Event()
        self._ended = threading.Event()  # of the present connection
        self._client: mqtt.Client | None = None  # set while the line is up
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def is_up(self) -> bool:
        """Whether the broker hears us."""
        return self._client is not None

    def start(self, listener: MqttListener) -> None:
        """Begin, and tell ``listener`` from now on; returns at once."""
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and end."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.disconnect()
        self._ended.set()
        self._thread.join(CONNECT_S)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> bool:
        """Hand a message over; False when the line is down or takes nothing more."""
        client = self._client
        if client is None:
            return False
        info = client.publish(topic, payload, qos=1, retain=retain)
        return info.rc == mqtt.MQTT_ERR_SUCCESS

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._mono_s()
            try:
                self._hold_line()
            except Exception:  # noqa: BLE001  (a cloud whose line thread ended would hear nobody)
                _log.exception("mqtt_failed")
            failures = 0 if self._mono_s() - began >= STOOD_S else failures + 1
            bound = min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2.0 ** min(failures, 30))
            self._stopping.wait(self._uniform() * bound)

    def _hold_line(self) -> None:
        """Connect, and return when the line is gone."""
        settings = self._settings
        self._ended.clear()
        client = self._new_client()
        try:
            client.connect(settings.host, settings.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            _log.info("no_broker", host=settings.host, port=settings.port, error=str(error))
            return
        client.loop_start()
        self._ended.wait()
        self._client = None
        client.loop_stop()

    def _new_client(self) -> mqtt.Client:
        settings = self._settings
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=False,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(OUTSTANDING_MAX)
        client.max_queued_messages_set(WAITING_MAX)
        client.on_socket_open = _at_once
        client.tls_set(str(settings.ca), str(settings.certificate), str(settings.key))

        def on_connect(_client: mqtt.Client, _data: Any, _flags: Any, code: Any, _p: Any) -> None:
            if code.is_failure:
                _log.warning("broker_refuses", reason=str(code))
            else:
                client.subscribe(cloud_filter(self._tenant), qos=1)

        def on_subscribe(_c: mqtt.Client, _data: Any, _mid: int, codes: Any, _p: Any) -> None:
            if any(code.is_failure for code in codes):
                _log.error("broker_refuses_subscription")
                client.disconnect()
            else:
                self._client = client
                self._listener.on_line_up()

        def on_message(_c: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
            arrival = _Arrival(message.topic, bytes(message.payload), client, message.mid)
            self._listener.on_message(arrival)

        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_message = on_message
        client.on_disconnect = lambda *_: self._ended.set()
        return client


def _at_once(_client: mqtt.Client, _data: Any, line: Any) -> None:
    """Send what is written now: Nagle waits with a last piece for the other side's delayed ACK."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
