"""Each broker really refuses what a terminal must not do, and serves what it may."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from protocol.topics import (
    Address,
    Down,
    Up,
    address,
    cloud_filter,
    down_topic,
    terminal_filter,
    up_topic,
)
from provisioning.authority import LOOPBACK_NAMES, Identity
from provisioning.brokers import BROKERS
from provisioning.brokers.port import BrokerSettings
from provisioning.processes import wait_until
from tests.services.broker import BOTH_BROKERS, Broker, Client, running_broker

MINE = address("acme", "site-1", "t-0001")
OTHER = address("acme", "site-2", "t-0003")
WAIT_S = 10.0
REFUSED = 0x80

Join = Callable[[Identity | None, str], Client]


@pytest.fixture(params=BOTH_BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path, [MINE, OTHER]) as running:
        yield running


@pytest.fixture
def join(broker: Broker) -> Iterator[Join]:
    with ExitStack() as stack:

        def connect(identity: Identity | None, name: str) -> Client:
            client = Client(broker.port, identity, name, broker.authority.ca)
            stack.callback(client.close)
            return client

        yield connect


def _joined(join: Join, broker: Broker, at: Address | None) -> Client:
    client = join(broker.identities[at] if at else broker.cloud, at.terminal if at else "cloud")
    assert client.connected.wait(WAIT_S)
    return client


def _subscribe(client: Client, topic: str) -> int:
    client.subscribed.clear()
    client.mqtt.subscribe(topic, qos=1)
    assert client.subscribed.wait(WAIT_S)
    return client.granted[0]


def _publish(client: Client, topic: str, payload: bytes, *, retain: bool = False) -> None:
    client.published.clear()
    client.mqtt.publish(topic, payload, qos=1, retain=retain)
    assert client.published.wait(WAIT_S)


def _received(client: Client, payload: bytes) -> list[tuple[str, bytes]]:
    """All that came up to and with ``payload``, which is published last and allowed."""
    with client.arrived:
        assert client.arrived.wait_for(lambda: payload in dict(client.messages).values(), WAIT_S)
        return list(client.messages)


def test_terminal_and_cloud_speak_to_each_other(broker: Broker, join: Join) -> None:
    terminal, cloud = _joined(join, broker, MINE), _joined(join, broker, None)
    assert _subscribe(cloud, cloud_filter("acme")) == 1
    assert _subscribe(terminal, terminal_filter(MINE)) == 1
    _publish(terminal, up_topic(MINE, Up.TX), b"batch")
    assert _received(cloud, b"batch") == [(up_topic(MINE, Up.TX), b"batch")]
    _publish(cloud, down_topic(MINE, Down.ACK), b"watermark", retain=True)
    assert _received(terminal, b"watermark") == [(down_topic(MINE, Down.ACK), b"watermark")]


@pytest.mark.parametrize(
    "topic",
    [
        up_topic(OTHER, Up.TX),
        down_topic(MINE, Down.ACK),
        down_topic(OTHER, Down.CMD),
        "tl/v1/acme/site-1/cloud/up/tx",
        "elsewhere",
    ],
)
def test_a_terminal_cannot_publish_elsewhere(broker: Broker, join: Join, topic: str) -> None:
    terminal, cloud = _joined(join, broker, MINE), _joined(join, broker, None)
    other = _joined(join, broker, OTHER)
    _subscribe(cloud, cloud_filter("acme"))
    _subscribe(other, terminal_filter(OTHER))
    _publish(terminal, topic, b"foreign")
    _publish(terminal, up_topic(MINE, Up.STATUS), b"last")
    _publish(cloud, down_topic(OTHER, Down.CMD), b"last")
    assert [payload for _, payload in _received(cloud, b"last")] == [b"last"]
    assert [payload for _, payload in _received(other, b"last")] == [b"last"]


@pytest.mark.parametrize("topic", ["#", terminal_filter(OTHER), cloud_filter("acme")])
def test_a_terminal_reads_nothing_of_others(broker: Broker, join: Join, topic: str) -> None:
    terminal, cloud = _joined(join, broker, MINE), _joined(join, broker, None)
    other = _joined(join, broker, OTHER)
    code = _subscribe(terminal, topic)
    if broker.child.name == "nats":
        assert code == REFUSED
    _publish(cloud, down_topic(OTHER, Down.ACK), b"not yours", retain=True)
    _publish(other, up_topic(OTHER, Up.TX), b"not yours")
    assert _subscribe(terminal, terminal_filter(MINE)) == 1
    _publish(cloud, down_topic(MINE, Down.ACK), b"yours")
    received = _received(terminal, b"yours")
    assert {payload for _, payload in received} == {b"yours"}


def test_the_cloud_cannot_play_a_terminal(broker: Broker, join: Join) -> None:
    cloud, terminal = _joined(join, broker, None), _joined(join, broker, MINE)
    _subscribe(cloud, cloud_filter("acme"))
    _publish(cloud, up_topic(MINE, Up.TX), b"forged")
    _publish(terminal, up_topic(MINE, Up.TX), b"true")
    assert [payload for _, payload in _received(cloud, b"true")] == [b"true"]


def test_a_terminal_that_is_withdrawn_neither_speaks_nor_hears(
    broker: Broker, join: Join, tmp_path: Path
) -> None:
    broker.authority.withdraw(MINE.terminal)
    assert broker.authority.terminals() == (OTHER,)
    settings = BrokerSettings(
        folder=tmp_path / "broker",
        port=broker.port,
        server=broker.authority.server(LOOPBACK_NAMES, datetime.now(UTC)),
        tenant=broker.tenant,
        terminals=broker.authority.terminals(),
    )
    terminal, cloud = _joined(join, broker, MINE), _joined(join, broker, None)
    other = _joined(join, broker, OTHER)
    _subscribe(terminal, terminal_filter(MINE))
    _subscribe(cloud, cloud_filter("acme"))
    BROKERS[broker.child.name].configure(settings)
    broker.child.hint(signal.SIGHUP)
    turns = count()

    def ignored() -> bool:
        """Until the broker has read its files again it listens to the terminal."""
        turn = next(turns)
        terminal.mqtt.publish(up_topic(MINE, Up.TX), b"mine %d" % turn, qos=1)
        _publish(other, up_topic(OTHER, Up.TX), b"other %d" % turn)
        return b"mine %d" % turn not in {each for _, each in _received(cloud, b"other %d" % turn)}

    wait_until(ignored, WAIT_S, "the broker reads its files again")
    _publish(cloud, down_topic(MINE, Down.ACK), b"not yours any more", retain=True)
    late = join(broker.identities[MINE], MINE.terminal)
    assert late.answered.wait(WAIT_S)
    assert late.connected.is_set() == (broker.child.name == "mosquitto")
    if late.connected.is_set():
        _subscribe(late, terminal_filter(MINE))
        _subscribe(
            late, terminal_filter(MINE)
        )  # its answer comes behind what the first one brought
    assert not late.messages


@pytest.mark.parametrize("broker", [BOTH_BROKERS[1]], indirect=True)
def test_mosquitto_knows_a_client_by_its_certificate_alone(broker: Broker, join: Join) -> None:
    """A terminal that calls itself like another takes neither its session nor its messages."""
    other, cloud = _joined(join, broker, OTHER), _joined(join, broker, None)
    _subscribe(other, terminal_filter(OTHER))
    ended = threading.Event()
    other.mqtt.on_disconnect = lambda *_: ended.set()
    thief = join(broker.identities[MINE], OTHER.terminal)
    assert thief.connected.wait(WAIT_S)
    _subscribe(thief, terminal_filter(OTHER))
    _publish(cloud, down_topic(OTHER, Down.ACK), b"yours")
    assert _received(other, b"yours") == [(down_topic(OTHER, Down.ACK), b"yours")]
    assert not ended.is_set()


def test_nobody_comes_in_without_a_certificate(broker: Broker) -> None:
    context = ssl.create_default_context(cafile=str(broker.authority.ca))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _read_a_byte(broker.port, context)


def _read_a_byte(port: int, context: ssl.SSLContext) -> None:
    """In TLS 1.3 the server's refusal of a missing certificate arrives with the first read."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        if not secured.recv(1):
            raise ConnectionError


def test_it_listens_on_loopback_alone(broker: Broker) -> None:
    assert broker.child.pid
    listening = _listening_addresses(broker.child.pid)
    assert listening
    assert {address for address, _ in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("broker", [BOTH_BROKERS[0]], indirect=True)
def test_the_port_of_nats_own_clients_is_closed(broker: Broker) -> None:
    """Also for a listed user: they have no password, and an empty one must not fit."""
    assert broker.child.pid
    [port] = [port for _, port in _listening_addresses(broker.child.pid) if port != broker.port]
    context = ssl.create_default_context(cafile=str(broker.authority.ca))
    context.load_cert_chain(broker.cloud.certificate, broker.cloud.key)
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
        information = plain.recv(4096)
        assert json.loads(information.removeprefix(b"INFO "))["tls_required"]
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(b'CONNECT {"user":"CN=cloud","pass":"","verbose":false}\r\nPING\r\n')
            answer = secured.recv(4096)
    assert b"-ERR 'Authorization Violation'" in answer


def _listening_addresses(pid: int) -> set[tuple[str, int]]:
    """IPv4 and IPv6 addresses on which a process listens, from /proc."""
    inodes = {
        str(file.readlink())
        for file in Path(f"/proc/{pid}/fd").iterdir()
        if str(file.readlink()).startswith("socket:")
    }
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                host, port = fields[1].split(":")
                name = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else host
                found.add((name, int(port, 16)))
    return found
