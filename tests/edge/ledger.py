"""The cloud's end of the line in a few lines: takes batches in order and signs watermarks.

It stands in for a ledger where a test is about the terminal; it keeps bytes and posts nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec import Struct

from protocol import batch, command, member_list, watermark
from protocol.chain import Head, follows
from protocol.codec import decode
from protocol.command import Command, CommandDone
from protocol.grant import opening_head
from protocol.member_list import MemberList
from protocol.record import Sealed, read
from protocol.rules.bundle import Published
from protocol.shadow import Reported
from protocol.signing import Purpose, verify
from protocol.status import Status
from protocol.topics import Down, Up, cloud_filter, down_topic, parse_up
from protocol.watermark import Standing, Watermark
from tests.edge.world import AT, CLOUD_KEY, SOON_S, TERMINAL_KEY, granted
from tests.services.broker import Broker, Client

_SAID: dict[Up, Callable[[bytes], Status | Reported | CommandDone]] = {
    Up.STATUS: lambda payload: decode(payload, Status),
    Up.REPORTED: lambda payload: decode(payload, Reported),
    Up.RSP: lambda payload: decode(payload, CommandDone),
}


class SmallLedger:
    """Connected from the start. ``silent`` takes batches and answers nothing."""

    def __init__(self, broker: Broker) -> None:
        self.head: Head = opening_head(1, granted())
        self.records: list[Sealed] = []
        self.batches = 0
        self.silent = False
        self.standing = Standing.ACTIVE
        self.said: list[Status | Reported | CommandDone] = []
        self._changed = threading.Condition()
        self.client = Client(broker.port, broker.cloud, "cloud", broker.authority.ca)
        self.client.mqtt.on_message = self._on_message
        assert self.client.connected.wait(SOON_S)
        self.client.mqtt.subscribe(cloud_filter(AT.tenant), qos=1)
        assert self.client.subscribed.wait(SOON_S)

    def close(self) -> None:
        self.client.close()

    def wait_for(self, upto_seq: int) -> None:
        """Return once records up to ``upto_seq`` are in."""
        with self._changed:
            done = self._changed.wait_for(lambda: self.head.seq >= upto_seq, 3 * SOON_S)
            assert done, f"the ledger has {self.head.seq}, not {upto_seq}"

    def wait_said(self, kind: type[Struct], count: int = 1) -> list[Struct]:
        """Return what the terminal said of a kind, once there is so much of it."""
        with self._changed:

            def heard() -> list[Struct]:
                return [each for each in self.said if isinstance(each, kind)]

            assert self._changed.wait_for(lambda: len(heard()) >= count, SOON_S), self.said
            return heard()

    def send(self, leaf: Down, payload: bytes, *, retain: bool = False) -> None:
        """Say something to the terminal."""
        self.client.mqtt.publish(down_topic(AT, leaf), payload, qos=1, retain=retain)

    def send_members(self, news: MemberList) -> None:
        self.send(Down.MEMBERS, member_list.issue(news, CLOUD_KEY))

    def send_bundle(self, bundle: Published) -> None:
        self.send(Down.BUNDLE, bundle.data, retain=True)

    def send_command(self, order: Command) -> None:
        self.send(Down.CMD, command.issue(order, CLOUD_KEY))

    def acknowledge(self, head: Head | None = None) -> None:
        """Publish the watermark."""
        head = head or self.head
        mark = Watermark(
            terminal=AT.terminal,
            epoch=head.epoch,
            upto_seq=head.seq,
            head_hash=head.hash,
            server_ms=int(time.time() * 1000),
            standing=self.standing,
        )
        self.send(Down.ACK, watermark.issue(mark, CLOUD_KEY), retain=True)

    def _on_message(self, _client: object, _data: object, message: object) -> None:
        topic, payload = message.topic, bytes(message.payload)  # type: ignore[attr-defined]
        _, leaf = parse_up(topic)
        with self._changed:
            if leaf is Up.TX:
                self._take(payload)
            elif payload:
                self.said.append(_SAID[leaf](payload))
            self._changed.notify_all()

    def _take(self, payload: bytes) -> None:
        self.batches += 1
        for number, data in enumerate(records := batch.unpack(payload), 1):
            sealed, signed = read(data)
            if follows(self.head, sealed):
                self.head = Head(sealed.record.epoch, sealed.record.seq, sealed.hash)
                self.records.append(sealed)
            if number == len(records):
                verify(signed, Purpose.RECORD, TERMINAL_KEY.verifier)
        if not self.silent:
            self.acknowledge()
