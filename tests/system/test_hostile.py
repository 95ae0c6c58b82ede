"""Messages that nobody should send, to the real broker and cloud: refused with a reason, counted.

Whatever was said, valid records behind it are taken, and nothing is posted twice.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from random import Random

import cbor2
import pytest

from edge.decide import TERMINAL_STOPPED
from protocol.batch import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, BATCH_VERSION
from protocol.chain import Head
from protocol.record import Kind
from protocol.signing import Ed25519Signer
from protocol.topics import Up, up_topic
from provisioning.demo import readings
from provisioning.processes import wait_until
from tests.services.broker import BOTH_BROKERS
from tests.system.counter import Counter
from tests.system.hand import Hand, packed, paid_in
from tests.system.rig import DRAIN_S, Rig, running_rig

# Two run by agents, the others by hand.
AGENTS = ("t-0001", "t-0003")
BY_HAND = "t-0002"


class World:
    """A rig, a hand on one of its terminals."""

    def __init__(self, rig: Rig, stack: ExitStack) -> None:
        self.rig = rig
        self.hand = Hand(rig, rig.terminals[BY_HAND])
        stack.callback(self.hand.close)
        self.hand.go_on()

    @contextmanager
    def instead_of(self, name: str) -> Iterator[Hand]:
        """A second holder of a terminal's keys, which is off the line meanwhile.

        Mosquitto lets in only one of the two at a time.
        """
        terminal = self.rig.terminals[name]
        line = self.rig.lines[terminal.at.site]
        line.cut()
        hand = Hand(self.rig, terminal)
        try:
            yield hand
        finally:
            hand.close()
            line.mend()

    def refused(self, count: int, say: Callable[[], None]) -> Tally[str]:
        """Reasons for which what ``say`` says is refused, ``count`` messages."""
        before = self.rig.refused()
        say()
        wait_until(
            lambda: (self.rig.refused() - before).total() >= count, DRAIN_S, f"{count} refusals"
        )
        return self.rig.refused() - before

    def entries(self) -> int:
        """How many entries the books have."""
        with self.rig.reading() as disk:
            return len(readings.books_in(disk).legs)


@pytest.fixture(scope="module", params=BOTH_BROKERS)
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("hostile") / "town"
        rig = stack.enter_context(running_rig(folder, request.param, AGENTS))
        rig.enrol_only(BY_HAND)
        yield World(rig, stack)


def test_a_forged_record(world: World) -> None:
    hand = world.hand
    stranger = hand.twin()
    stranger.key = Ed25519Signer(bytes(range(32)))
    unknown = packed([paid_in(world.rig, stranger)])
    true = paid_in(world.rig, hand.twin()).data
    forged = cbor2.dumps([BATCH_VERSION, [true[:-64] + bytes(64)]])
    reasons = world.refused(2, lambda: hand.say(unknown, forged))
    assert reasons == {"unknown_key": 1, "bad_signature": 1}
    hand.go_on()


def test_every_byte_of_a_message_flipped(world: World) -> None:
    hand = world.hand
    true = packed([paid_in(world.rig, hand.till)])
    flipped = [
        true[:at] + bytes((true[at] ^ 1 << at % 8,)) + true[at + 1 :] for at in range(len(true))
    ]
    reasons = world.refused(len(true), lambda: hand.say(*flipped))
    assert reasons.total() == len(true), reasons
    assert not hand.is_current()
    hand.say(true)
    wait_until(hand.is_current, DRAIN_S, "the true message is taken")
    hand.go_on()


def test_every_beginning_of_a_message(world: World) -> None:
    hand = world.hand
    true = packed([paid_in(world.rig, hand.twin()), paid_in(world.rig, hand.twin())])
    reasons = world.refused(len(true), lambda: hand.say(*(true[:at] for at in range(len(true)))))
    assert reasons == {"malformed": len(true)}
    hand.go_on()


def test_a_record_cut_off_inside_a_batch_waits_for_the_whole_one(world: World) -> None:
    hand = world.hand
    first, second = (paid_in(world.rig, hand.till).data for _ in range(2))
    torn = cbor2.dumps([BATCH_VERSION, [first, second[:-1]]])
    hand.say(torn)
    hand.say(cbor2.dumps([BATCH_VERSION, [second]]))
    wait_until(hand.is_current, DRAIN_S, "both are taken, each once")
    hand.go_on()


def test_what_was_said_before_is_said_again(world: World) -> None:
    hand = world.hand
    true = packed([paid_in(world.rig, hand.till)])
    hand.say(true)
    wait_until(hand.is_current, DRAIN_S, "it is taken")
    entries, refused = world.entries(), world.rig.refused()
    hand.say(*[true] * 20)
    hand.go_on()
    assert world.entries() == entries + 2 * 2
    assert world.rig.refused() == refused


def test_another_terminals_records_under_the_own_name(world: World) -> None:
    hand = world.hand
    stolen = packed([paid_in(world.rig, hand.twin())])
    with world.instead_of("t-0003") as other:
        reasons = world.refused(1, lambda: other.say(stolen))
    assert reasons == {"wrong_terminal": 1}
    hand.go_on()


def test_own_records_under_another_terminals_name(world: World) -> None:
    """Not even the broker passes them on: its certificate says who speaks."""
    hand = world.hand
    before = world.rig.refused()
    true = packed([paid_in(world.rig, hand.twin())])
    with world.instead_of("t-0003") as other:
        other.say(true, topic=hand.topic)
        world.refused(1, lambda: other.say(b""))
    assert world.rig.refused() - before == {"malformed": 1}
    assert hand.is_current()
    hand.go_on()


def test_an_epoch_that_nobody_granted(world: World) -> None:
    hand = world.hand
    later = hand.twin(Head(2, 0, hand.till.head.hash))
    mixed = [paid_in(world.rig, hand.twin()), paid_in(world.rig, later)]
    reasons = world.refused(2, lambda: hand.say(packed(mixed[1:]), packed(mixed)))
    assert reasons == {"wrong_epoch": 2}
    hand.go_on()


def test_more_than_a_batch_may_hold(world: World) -> None:
    hand = world.hand
    record = paid_in(world.rig, hand.twin()).data
    large = cbor2.dumps([BATCH_VERSION, [record, bytes(BATCH_BYTES_MAX)]])
    many = cbor2.dumps([BATCH_VERSION, [b""] * (BATCH_RECORDS_MAX + 1)])
    other_version = cbor2.dumps([BATCH_VERSION + 1, [record]])
    reasons = world.refused(3, lambda: hand.say(large, many, other_version))
    assert reasons == {"too_large": 1, "malformed": 1, "wrong_version": 1}
    hand.go_on()


def test_a_leaf_that_does_not_exist_and_a_status_that_is_none(world: World) -> None:
    hand = world.hand

    def say() -> None:
        hand.say(b"", topic=hand.topic.removesuffix(Up.TX) + "tax")
        hand.say(b"\x00", topic=up_topic(hand.terminal.at, Up.STATUS))

    assert world.refused(2, say) == {"bad_topic": 1, "malformed": 1}
    hand.go_on()


def test_a_clone_that_says_other_bytes_is_a_fork(world: World) -> None:
    rig, name = world.rig, "t-0001"
    counter = Counter(rig, name, Random(1))
    counter.open()
    wait_until(lambda: rig.is_receipted(name), DRAIN_S, "the ledger has what the terminal wrote")
    before, entries = rig.terminal_document(name), world.entries()
    third = rig.record(name, 3)
    with world.instead_of(name) as clone:
        other = paid_in(rig, clone.twin(Head(1, 2, third.record.prev)))
        assert (other.record.seq, other.hash) != (third.record.seq, third.hash)
        assert world.refused(1, lambda: clone.say(packed([other]))) == {"fork": 1}
    _expect_stopped(rig, counter)
    document = rig.terminal_document(name)
    assert document["standing"] == "forked"
    assert document["upto_seq"] == before["upto_seq"]
    assert world.entries() == entries
    assert {row["hash"] for row in rig.apart(name)} == {other.hash.hex(), third.hash.hex()}
    counter.terminal.agent.kill()
    rig.restart(counter.terminal)
    _expect_stopped(rig, counter)
    counter.close()
    world.hand.go_on()


def test_a_clone_that_is_ahead_is_found_by_the_terminal(world: World) -> None:
    rig, name = world.rig, "t-0003"
    counter = Counter(rig, name, Random(1))
    counter.open()
    wait_until(lambda: rig.is_receipted(name), DRAIN_S, "the ledger has what the terminal wrote")
    document = rig.terminal_document(name)
    head = Head(1, document["upto_seq"], bytes.fromhex(document["head_hash"]))
    with world.instead_of(name) as clone:
        ahead = clone.twin(head)
        clone.say(packed([ahead.record(Kind.DECLINE, reason="card_unknown", bundle=None)]))
    _expect_stopped(rig, counter)
    counter.close()
    world.hand.go_on()


def _expect_stopped(rig: Rig, counter: Counter) -> None:
    """The terminal accepts nothing any more, and says so."""
    wait_until(
        lambda: rig.health(counter.terminal)["closed"] == TERMINAL_STOPPED, DRAIN_S, "it stops"
    )
    answer = counter.tap()
    assert (answer.state, answer.code) == ("declined", TERMINAL_STOPPED)
