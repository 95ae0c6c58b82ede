"""What holds for each reader with each carrier before it: one suite, real driver stacks."""

from __future__ import annotations

import time

import pytest

import drivers.readers
from drivers.errors import CardGone, DriverError
from drivers.exchange import Deadlines
from drivers.reader import ReaderKind, Technology
from protocol.plugins import discover
from tests.drivers.rigs import LISTENING, Rig, present
from tests.drivers.world import SOON_S, examiner, member_card, reference

KINDS = discover(drivers.readers, "READER", ReaderKind)
FAST = Deadlines(exchange_s=0.4, dialogue_s=1.0)
# A deadline that passed, a look whether the card is there (a second on udp), a loaded machine.
LATE_S = 4.0


class Foreign:
    """A card that works and has no application of ours; ``answer`` is all it says."""

    atr = bytes.fromhex("3B 81 80 01 80 80")
    historical = b"\x80"
    uid = bytes.fromhex("04A1B2C3D4E5F6")

    def __init__(self, answer: bytes = b"\x6a\x82") -> None:
        self._answer = answer

    def reset(self) -> None:
        """It keeps nothing."""

    def transmit(self, apdu: bytes) -> bytes:
        """Answer the same to everything."""
        del apdu
        return self._answer


def test_a_kind_is_called_as_its_file() -> None:
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in KINDS}
    assert KINDS.keys() == {"nfc", "pcsc"} | LISTENING


def test_a_card_is_presented_identified_and_seen_to_go(rig: Rig) -> None:
    rig.carrier.insert(member_card(1))
    with rig.reader() as reader:
        presented = present(reader)
        assert presented.technology is Technology.APDU
        assert examiner().identify(reader, presented).reference == reference(1)
        assert not reader.wait_for_removal(0.2)
        rig.carrier.remove()
        assert reader.wait_for_removal(SOON_S)
        assert reader.wait_for_card(0.2) is None
        with pytest.raises(CardGone):
            reader.transmit(bytes.fromhex("00A4040000"), 1.0)


def test_a_card_that_lies_there_is_found_again_and_selected_anew(rig: Rig) -> None:
    rig.carrier.insert(member_card(1))
    with rig.reader() as reader:
        for _ in range(2):
            assert examiner().identify(reader, present(reader)).reference == reference(1)
        assert not reader.wait_for_removal(0.2)


def test_a_reader_can_be_closed_twice_and_opened_again(rig: Rig) -> None:
    rig.carrier.insert(member_card(1))
    for _ in range(2):
        with rig.reader() as reader:
            assert examiner().identify(reader, present(reader)).reference == reference(1)
            reader.close()


def test_a_card_is_told_of_once_for_each_time_it_is_presented(rig: Rig) -> None:
    with rig.supervised() as (log, _):
        for number in (1, 2, 1):
            rig.carrier.insert(member_card(number))
            log.wait_until_heard("card", len(log.identities) + 1)
            rig.carrier.remove()
            log.wait_until_heard("removed", len(log.identities))
        log.wait_for(*["card", "removed"] * 3)
        told = [identity.reference for identity in log.identities]
        assert told == [reference(1), reference(2), reference(1)]


def test_a_card_put_in_the_place_of_another_is_a_new_one(rig: Rig) -> None:
    with rig.supervised() as (log, _):
        rig.carrier.insert(member_card(1))
        log.wait_for("card")
        rig.carrier.insert(member_card(2))
        log.wait_for("card", "removed", "card")
        assert log.identities[-1].reference == reference(2)


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_card_torn_away_at_any_command_costs_nothing(
    rig: Rig,
    answer_lost: bool,  # noqa: FBT001
) -> None:
    card = member_card(1)
    with rig.supervised(FAST) as (log, _):
        for apdu in (1, 2, 3):
            rig.carrier.faults.cut_after(apdu, answer_lost=answer_lost)
            rig.carrier.insert(card)
            log.wait_until_heard("removed", apdu)
            rig.carrier.remove()
        rig.carrier.insert(card)
        log.wait_for(*["card_gone", "removed"] * 3, "card")
        assert log.identities[-1].counter == card.state.counter


def test_a_mute_card_ends_at_the_deadline_and_the_next_one_works(rig: Rig) -> None:
    with rig.supervised(FAST) as (log, _):
        rig.carrier.faults.silent = True
        rig.carrier.insert(member_card(1))
        log.wait_until_heard("exchange_timeout")
        rig.carrier.remove()
        rig.carrier.faults.clear()
        rig.carrier.insert(member_card(2))
        log.wait_until_heard("card")
        assert log.identities[-1].reference == reference(2)


def test_a_late_answer_is_not_waited_for_and_hurts_nobody(rig: Rig) -> None:
    rig.carrier.faults.latency_ms = 1500
    rig.carrier.insert(member_card(1))
    with rig.reader() as reader:
        presented = present(reader)
        started = time.monotonic()
        with pytest.raises(DriverError):
            examiner(deadlines=FAST).identify(reader, presented)
        assert time.monotonic() - started < LATE_S
    rig.carrier.remove()
    rig.carrier.faults.clear()
    with rig.supervised() as (log, _):
        rig.carrier.insert(member_card(2))
        log.wait_until_heard("card")
        assert log.identities[-1].reference == reference(2)


@pytest.mark.parametrize("garbage", [b"", b"\x90", b"\x00" * 300, bytes(range(256)) + b"\x90\x00"])
def test_garbage_from_a_card_is_a_clear_problem(rig: Rig, garbage: bytes) -> None:
    with rig.supervised(FAST) as (log, _):
        rig.carrier.insert(Foreign(garbage))
        log.wait_until_heard("removed", 0)
        rig.carrier.remove()
        rig.carrier.insert(member_card(2))
        log.wait_until_heard("card")
        assert log.identities[-1].reference == reference(2)


def test_an_unknown_card_is_said_to_be_unknown(rig: Rig) -> None:
    with rig.supervised() as (log, _):
        rig.carrier.insert(Foreign())
        log.wait_for("card_unknown")
