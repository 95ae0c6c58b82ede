"""The line: real brokers, certificates, a will, and pauses that do not come back as a herd."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from edge.board import last_words
from edge.link import (
    BACK_OFF_FIRST_S,
    BACK_OFF_MOST_S,
    MESSAGE_BYTES_MAX,
    LinkSettings,
    MqttLink,
    World,
    back_off_s,
)
from protocol.codec import decode
from protocol.errors import TooLarge
from protocol.status import Status
from protocol.topics import Down, Up, address, cloud_filter, down_topic, up_topic
from provisioning.authority import Identity
from tests.edge.world import AT, SOON_S, down_link, wait_until
from tests.services.broker import BOTH_BROKERS, Broker, Client, running_broker

OTHER = address(AT.tenant, AT.site, "t-0002")


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.events: queue.Queue[tuple[str, object]] = queue.Queue()

    def on_line_up(self, session: str) -> None:
        self.events.put(("up", session))

    def on_line_down(self) -> None:
        self.events.put(("down", None))

    def on_delivered(self, number: int) -> None:
        self.events.put(("delivered", number))

    def on_message(self, leaf: Down, payload: bytes) -> None:
        self.events.put((leaf, payload))

    def next(self) -> tuple[str, object]:
        return self.events.get(timeout=SOON_S)


@contextmanager
def line(broker: Broker, files: Identity | None = None) -> Iterator[tuple[MqttLink, Heard]]:
    """A link of the terminal that tries again without much of a pause."""
    files = files or broker.identities[AT]
    settings = LinkSettings(
        at=AT,
        host="127.0.0.1",
        port=broker.port,
        ca=files.ca,
        certificate=files.certificate,
        key=files.key,
    )
    sessions = count(1)
    world = World(
        uniform=lambda: 0.01,
        mono_s=time.monotonic,
        session=lambda: f"s{next(sessions)}",
        will=last_words,
    )
    link, heard = MqttLink(settings, world), Heard()
    link.start(heard)
    try:
        yield link, heard
    finally:
        link.stop()


@pytest.fixture(params=BOTH_BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    with running_broker(request.param, tmp_path, [AT, OTHER]) as running:
        yield running


@pytest.fixture
def cloud(broker: Broker) -> Iterator[Client]:
    client = Client(broker.port, broker.cloud, "cloud", broker.authority.ca)
    assert client.connected.wait(SOON_S)
    client.mqtt.subscribe(cloud_filter(AT.tenant), qos=1)
    assert client.subscribed.wait(SOON_S)
    yield client
    client.close()


def statuses(cloud: Client) -> list[Status]:
    """What the broker delivered on the terminal's status topic."""
    topic = up_topic(AT, Up.STATUS)
    return [decode(data, Status) for where, data in list(cloud.messages) if where == topic]


def test_messages_go_both_ways_and_are_numbered(broker: Broker, cloud: Client) -> None:
    with line(broker) as (link, heard):
        assert heard.next() == ("up", "s1")
        number = link.publish(Up.TX, b"batch")
        assert number is not None
        assert heard.next() == ("delivered", number)
        wait_until(lambda: (up_topic(AT, Up.TX), b"batch") in cloud.messages)
        cloud.mqtt.publish(down_topic(AT, Down.CMD), b"order", qos=1)
        assert heard.next() == (Down.CMD, b"order")


def test_what_is_retained_is_there_after_connecting(broker: Broker, cloud: Client) -> None:
    info = cloud.mqtt.publish(down_topic(AT, Down.ACK), b"mark", qos=1, retain=True)
    info.wait_for_publish(SOON_S)
    with line(broker) as (_, heard):
        assert {heard.next(), heard.next()} == {("up", "s1"), (Down.ACK, b"mark")}


def test_a_message_too_large_for_brokers_is_refused_here(broker: Broker) -> None:
    with line(broker) as (link, heard):
        heard.next()
        with pytest.raises(TooLarge):
            link.publish(Up.TX, bytes(MESSAGE_BYTES_MAX + 1))
        number = link.publish(Up.TX, bytes(MESSAGE_BYTES_MAX))
        assert heard.next() == ("delivered", number)


def test_a_broker_that_is_killed_comes_back_on_a_new_connection(
    broker: Broker, cloud: Client
) -> None:
    del cloud
    with line(broker) as (link, heard):
        assert heard.next() == ("up", "s1")
        first = link.publish(Up.RSP, b"1")
        assert heard.next() == ("delivered", first)
        broker.kill()
        assert heard.next() == ("down", None)
        assert link.publish(Up.TX, b"lost") is None, "nothing waits in memory"
        broker.start()
        assert heard.next()[0] == "up"
        second = link.publish(Up.RSP, b"1")
        assert heard.next() == ("delivered", second)
        assert second != first, "numbers of old connections do not come back"


def test_the_broker_tells_of_a_line_that_broke(broker: Broker, cloud: Client) -> None:
    with line(broker) as (_, heard):
        heard.next()
        taker = Client(broker.port, broker.identities[AT], AT.terminal, broker.authority.ca)
        assert taker.connected.wait(SOON_S)
        assert heard.next() == ("down", None)
        taker.close()
        wait_until(lambda: heard.next()[0] == "up")
    # NATS suppresses the will of a connection that was taken over; Mosquitto publishes it.
    assert all(status == Status(online=False, session="s1") for status in statuses(cloud)[:1])


def test_a_terminal_that_dies_is_reported_by_its_will(broker: Broker, cloud: Client) -> None:
    with line(broker) as (link, heard):
        heard.next()
        client = link._client  # noqa: SLF001 - a death cannot be asked for politely
        assert client is not None
        sock = client.socket()
        assert sock is not None
        sock.close()
        wait_until(lambda: Status(online=False, session="s1") in statuses(cloud), "the will")


def test_a_goodbye_publishes_no_will(broker: Broker, cloud: Client) -> None:
    with line(broker) as (link, heard):
        heard.next()
        link.publish(Up.STATUS, last_words("goodbye"))
    wait_until(lambda: statuses(cloud))
    assert [status.session for status in statuses(cloud)] == ["goodbye"]


def test_nothing_arrives_under_the_certificate_of_another_terminal(
    broker: Broker, cloud: Client
) -> None:
    with line(broker, broker.identities[OTHER]) as (link, heard):
        with suppress(queue.Empty):  # NATS refuses the subscription; Mosquitto grants everything
            heard.events.get(timeout=1)
        link.publish(Up.TX, b"forged")
    with line(broker) as (link, heard):
        assert heard.next()[0] == "up"
        link.publish(Up.TX, b"genuine")
        wait_until(lambda: (up_topic(AT, Up.TX), b"genuine") in cloud.messages)
    assert [data for where, data in cloud.messages if where.endswith("/tx")] == [b"genuine"]


def test_without_a_line_nothing_is_taken() -> None:
    link = down_link()
    assert link.publish(Up.TX, b"batch") is None
    link.stop()


def test_a_stop_ends_a_link_that_waits(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.pem"
    link = MqttLink(
        LinkSettings(at=AT, host="127.0.0.1", port=1, ca=nowhere, certificate=nowhere, key=nowhere),
        World(uniform=lambda: 1.0, mono_s=time.monotonic, session=lambda: "s", will=last_words),
    )
    before = set(threading.enumerate())
    link.start(Heard())
    begun = time.monotonic()
    link.stop()
    assert time.monotonic() - begun < SOON_S
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_pauses_grow_to_their_bound_and_are_spread() -> None:
    bounds = [back_off_s(failures, 1.0) for failures in range(40)]
    assert bounds[:4] == [BACK_OFF_FIRST_S * 2**failures for failures in range(4)]
    assert max(bounds) == bounds[-1] == BACK_OFF_MOST_S
    assert [back_off_s(5, share) for share in (0.0, 0.5)] == [0.0, bounds[5] / 2]
