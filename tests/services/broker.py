"""Real brokers for tests: an authority, certificates, and NATS or Mosquitto on a free port."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.enums import CallbackAPIVersion

from protocol.topics import Address
from provisioning.authority import LOOPBACK_NAMES, Authority, Identity, init, private_pem, request
from provisioning.brokers import BROKERS
from provisioning.brokers.port import BrokerKind, BrokerSettings
from provisioning.processes import Child, answers, free_port
from provisioning.vault import write_private

READY_S = 10.0
# What a test parametrised over both brokers takes.
BOTH_BROKERS = [
    pytest.param("nats", marks=pytest.mark.broker_nats),
    pytest.param("mosquitto", marks=pytest.mark.broker_mosquitto),
]


class Broker:
    """A broker with its authority; ``kill`` and ``start`` as often as a test likes."""

    def __init__(self, kind: BrokerKind, folder: Path, terminals: Iterable[Address]) -> None:
        now = datetime.now(UTC)
        self.port = free_port()
        self.terminals = tuple(terminals)
        self.tenant = self.terminals[0].tenant
        self.authority = init(folder / "authority", self.tenant, now)
        self.cloud = self.authority.cloud(now)
        self.identities = {at: enrol(self.authority, at, folder, now) for at in self.terminals}
        settings = BrokerSettings(
            folder=folder / "broker",
            port=self.port,
            server=self.authority.server(LOOPBACK_NAMES, now),
            tenant=self.tenant,
            terminals=self.terminals,
        )
        self.child = Child(kind.name, kind.configure(settings), folder / "broker.log")

    def start(self) -> None:
        self.child.start()
        self.child.wait_ready(lambda: answers(self.port), READY_S)

    def kill(self) -> None:
        self.child.kill()


def enrol(authority: Authority, at: Address, folder: Path, now: datetime) -> Identity:
    """A terminal's certificate and key as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.sign(request(at, key), at, now)
    return Identity(
        authority.ca,
        write_private(folder / f"{at.terminal}.pem", certificate),
        write_private(folder / f"{at.terminal}.key", private_pem(key)),
    )


@contextmanager
def running_broker(name: str, folder: Path, terminals: Iterable[Address]) -> Iterator[Broker]:
    """A broker that is ready, and gone afterwards."""
    broker = Broker(BROKERS[name], folder, terminals)
    broker.start()
    try:
        yield broker
    finally:
        broker.child.stop()


class Client:
    """A plain paho client that counts what reaches it: the party a broker's rules are tried on."""

    def __init__(self, port: int, identity: Identity | None, name: str, ca: Path) -> None:
        self.connected, self.subscribed, self.published = (threading.Event() for _ in range(3))
        self.answered = threading.Event()  # connected or refused
        self.granted: list[int] = []
        self.messages: list[tuple[str, bytes]] = []
        self.arrived = threading.Condition()
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        context = ssl.create_default_context(cafile=str(ca))
        if identity:
            context.load_cert_chain(identity.certificate, identity.key)
        self.mqtt.tls_set_context(context)
        self.mqtt.on_connect = self._on_connect
        self.mqtt.on_subscribe = self._on_subscribe
        self.mqtt.on_publish = lambda *_: self.published.set()
        self.mqtt.on_message = self._on_message
        self.mqtt.connect_async("127.0.0.1", port)
        self.mqtt.loop_start()

    def _on_connect(self, *args: Any) -> None:
        if not args[3].is_failure:
            self.connected.set()
        self.answered.set()

    def _on_subscribe(self, *args: object) -> None:
        codes = args[3]
        assert isinstance(codes, list)
        self.granted = [code.value for code in codes]
        self.subscribed.set()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self.arrived:
            self.messages.append((message.topic, bytes(message.payload)))
            self.arrived.notify_all()

    def close(self) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()
