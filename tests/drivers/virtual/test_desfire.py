"""The software DESFire keeps its contract: rights, messaging, limits, transactions, keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.apdu import Steps
from drivers.desfire.frames import exchange
from drivers.desfire.session import PICC, Session, authenticate, get_version, key_version, select
from drivers.desfire.settings import FileSettings, Generation, RecordFile, Rights
from drivers.errors import CardRefused
from drivers.secure_channel.channel import CommunicationMode
from drivers.virtual.cards.desfire import DesfireCard
from drivers.virtual.cards.desfire_state import DesfireState
from tests.drivers.desfire_world import TRANSPORT_KEY, loaded_desfire, uid
from tests.drivers.virtual.desfire_bench import (
    AID,
    BACKUP,
    BOTH,
    CHANGER,
    CYCLIC,
    LINEAR,
    OPEN,
    READER,
    ROLES,
    SIZE,
    STANDARD,
    STRANGER,
    VALUE,
    WRITER,
    bench,
    enter,
    files,
    key,
)
from tests.drivers.world import DirectReader, do

MODES = list(CommunicationMode)
PLAIN, MAC, FULL = MODES
DATA = bytes(range(SIZE))

# Each command on a file, and the roles that may.
COMMANDS: dict[str, tuple[Callable[[Session, CommunicationMode], Steps[object]], set[int]]] = {
    "read": (lambda s, m: s.read_data(STANDARD, 0, 8, m), {READER, BOTH}),
    "write": (lambda s, m: s.write_data(STANDARD, 0, DATA, m), {WRITER, BOTH}),
    "write backup": (lambda s, m: s.write_data(BACKUP, 0, DATA, m), {WRITER, BOTH}),
    "write record": (lambda s, m: s.write_record(CYCLIC, b"12345678", m), {WRITER, BOTH}),
    "get value": (lambda s, m: s.get_value(VALUE, m), {READER, WRITER, BOTH}),
    "debit": (lambda s, m: s.debit(VALUE, 1, m), {READER, WRITER, BOTH}),
    "limited credit": (lambda s, m: s.limited_credit(VALUE, 0, m), {WRITER, BOTH}),
    "credit": (lambda s, m: s.credit(VALUE, 1, m), {BOTH}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_for_those_whose_right_it_is(mode: CommunicationMode, name: str) -> None:
    command, allowed = COMMANDS[name]
    reader = bench(mode)
    for role in range(6):
        session = enter(reader, role)
        if role in allowed:
            do(command(session, mode), reader)
        else:
            refuses(reader, command(session, mode), 0x9D)


def refuses(reader: DirectReader, steps: Steps[object], status: int) -> None:
    """The card ends the dialogue with this status."""
    with pytest.raises(CardRefused) as caught:
        do(steps, reader)
    assert caught.value.status == 0x9100 | status


def test_settings_are_changed_by_their_role_and_files_by_the_master() -> None:
    reader = bench()
    wider = FileSettings(MAC, (ROLES, Rights(read=STRANGER)), files(MAC)[STANDARD].content)
    for role in (0, READER, WRITER, BOTH, STRANGER):
        refuses(reader, enter(reader, role).change_file_settings(STANDARD, wider), 0x9D)
    do(enter(reader, CHANGER).change_file_settings(STANDARD, wider), reader)
    assert do(enter(reader, 0).file_settings(STANDARD), reader) == wider
    assert do(enter(reader, STRANGER).read_data(STANDARD, 0, 4, MAC), reader) == bytes(4)
    refuses(reader, enter(reader, BOTH).create_file(9, files(MAC)[STANDARD]), 0x9D)
    refuses(reader, enter(reader, 0).create_file(STANDARD, files(MAC)[STANDARD]), 0xDE)
    refuses(reader, enter(reader, BOTH).change_key_settings(0x0F), 0x9D)
    refuses(reader, enter(reader, BOTH).change_key(READER, key(9), 2, key(READER)), 0x9D)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_is_read_whole_over_many_frames(mode: CommunicationMode) -> None:
    reader = bench(mode)
    do(enter(reader, WRITER).write_data(STANDARD, 0, DATA, mode), reader)
    session = enter(reader, READER)
    reader.sent.clear()
    assert do(session.read_data(STANDARD, 0, SIZE, mode), reader) == DATA
    assert do(session.read_data(STANDARD, 90, 10, mode), reader) == DATA[90:]
    assert [command[1] for command in reader.sent].count(0xAF) == (2 if mode is FULL else 1)
    refuses(reader, session.read_data(STANDARD, 90, 11, mode), 0xBE)


@pytest.mark.parametrize("mode", MODES)
def test_the_way_of_ev1_reads_and_writes_too(mode: CommunicationMode) -> None:
    reader = bench(mode)
    session = enter(reader, BOTH, old=True)
    do(session.write_data(STANDARD, 0, DATA, mode), reader)
    assert do(session.read_data(STANDARD, 0, SIZE, mode), reader) == DATA
    do(session.credit(VALUE, 3, mode), reader)
    do(session.write_record(CYCLIC, b"12345678", mode), reader)
    do(session.commit(), reader)
    assert do(session.get_value(VALUE, mode), reader) == 503
    assert do(session.read_records(CYCLIC, 1, 8, mode), reader) == (b"12345678",)
    assert do(session.get_key_version(1), reader) == 1
    assert do(session.uid(), reader) == uid()


def test_what_everybody_may_needs_no_session_and_gets_no_protection() -> None:
    reader = bench()
    assert do(select(AID), reader)
    header = bytes((OPEN,)) + bytes(3) + (4).to_bytes(3, "little")
    assert do(exchange(0xBD, header), reader) == (bytes(4), 0)
    assert do(exchange(0xBD, bytes((STANDARD,)) + header[1:]), reader) == (b"", 0xAE)
    assert do(exchange(0xC7), reader) == (b"", 0xAE)
    assert do(enter(reader, STRANGER).read_data(OPEN, 0, 4, PLAIN), reader) == bytes(4)


def test_nothing_is_real_before_commit_and_all_of_it_after() -> None:
    reader = bench()
    session = enter(reader, BOTH)

    def write() -> None:
        do(session.write_data(BACKUP, 0, DATA, FULL), reader)
        do(session.write_record(CYCLIC, b"12345678", FULL), reader)
        do(session.debit(VALUE, 500, FULL), reader)
        do(session.debit(VALUE, 10, FULL), reader)

    write()
    assert do(session.get_value(VALUE, FULL), reader) == 500
    assert do(session.read_data(BACKUP, 0, 4, FULL), reader) == bytes(4)
    do(session.abort(), reader)
    refuses(reader, session.commit(), 0x0C)
    for end in (reader.card.reset, lambda: None):
        session = enter(reader, BOTH)
        write()
        end()
        session = enter(reader, BOTH)
        assert do(session.get_value(VALUE, FULL), reader) == 500
    write()
    do(session.commit(), reader)
    assert do(session.get_value(VALUE, FULL), reader) == -10
    assert do(session.read_data(BACKUP, 0, SIZE, FULL), reader) == DATA
    assert do(session.read_records(CYCLIC, 1, 8, FULL), reader) == (b"12345678",)


def test_an_error_takes_the_session_and_what_was_not_committed() -> None:
    reader = bench()
    session = enter(reader, BOTH)
    do(session.debit(VALUE, 1, FULL), reader)
    refuses(reader, session.debit(VALUE, 600, FULL), 0xBE)
    refuses(reader, session.commit(), 0xAE)
    assert do(enter(reader, READER).get_value(VALUE, FULL), reader) == 500


@pytest.mark.parametrize("amount", [511, 501])
def test_a_value_stays_within_its_limits(amount: int) -> None:
    reader = bench()
    change = "debit" if amount == 511 else "credit"
    refuses(reader, getattr(enter(reader, BOTH), change)(VALUE, amount, FULL), 0xBE)
    do(getattr(enter(reader, BOTH), change)(VALUE, amount - 1, FULL), reader)
    refuses(reader, getattr(enter(reader, BOTH), change)(VALUE, -1, FULL), 0x9E)


def test_a_limited_credit_gives_back_no_more_than_was_debited() -> None:
    reader = bench()
    refuses(reader, enter(reader, BOTH).limited_credit(VALUE, 1, FULL), 0xBE)
    session = enter(reader, BOTH)
    do(session.debit(VALUE, 30, FULL), reader)
    do(session.debit(VALUE, 20, FULL), reader)
    do(session.commit(), reader)
    refuses(reader, session.limited_credit(VALUE, 51, FULL), 0xBE)
    session = enter(reader, BOTH)
    do(session.limited_credit(VALUE, 50, FULL), reader)
    do(session.commit(), reader)
    assert do(session.get_value(VALUE, FULL), reader) == 500
    refuses(reader, session.limited_credit(VALUE, 1, FULL), 0xBE)


def test_cyclic_records_roll_and_linear_ones_are_full() -> None:
    reader = bench()
    session = enter(reader, BOTH)
    for number in range(5):
        do(session.write_record(CYCLIC, bytes((number,)) * 8, FULL), reader)
        do(session.commit(), reader)
    read = do(session.read_records(CYCLIC, 2, 8, FULL), reader)
    assert read == (b"\x03" * 8, b"\x04" * 8)
    refuses(reader, session.read_records(CYCLIC, 3, 8, FULL), 0xBE)
    session = enter(reader, BOTH)
    for _ in range(3):
        do(session.write_record(LINEAR, bytes(8), FULL), reader)
        do(session.commit(), reader)
    refuses(reader, session.write_record(LINEAR, bytes(8), FULL), 0xBE)
    content = do(enter(reader, 0).file_settings(LINEAR), reader).content
    assert content == RecordFile(8, 3, 3, cyclic=False)


def test_non_first_goes_on_with_the_transaction() -> None:
    reader = bench()
    session = enter(reader, READER)
    do(session.debit(VALUE, 5, FULL), reader)
    session = do(authenticate(key(BOTH), BOTH, os.urandom(16), session), reader)
    do(session.credit(VALUE, 1, FULL), reader)
    do(session.commit(), reader)
    assert do(session.get_value(VALUE, FULL), reader) == 496


@pytest.mark.parametrize("position", range(-10, 0))
def test_a_command_with_a_wrong_mac_costs_the_session(position: int) -> None:
    reader = bench(MAC)
    session = enter(reader, BOTH)
    before = deepcopy(state(reader))
    payload = bytearray(session.channel.reader_wrap(0x0C, bytes((VALUE,)), bytes(4), mode=MAC))
    payload[position] ^= 1
    assert do(exchange(0x0C, bytes(payload)), reader) == (b"", 0x1E)
    assert do(exchange(0xC7), reader) == (b"", 0xAE)
    assert state(reader) == before


def state(reader: DirectReader) -> DesfireState:
    assert isinstance(reader.card, DesfireCard)
    return reader.card.state


def test_a_command_said_twice_is_refused() -> None:
    reader = bench(MAC)
    session = enter(reader, BOTH)
    payload = session.channel.reader_wrap(0x0C, bytes((VALUE,)), bytes(4), mode=MAC)
    assert do(exchange(0x0C, payload), reader)[1] == 0
    assert do(exchange(0x0C, payload), reader) == (b"", 0x1E)


@pytest.mark.parametrize("first", [0x71, 0xAA])
def test_a_wrong_key_and_a_missing_one(first: int) -> None:
    reader = bench()
    do(select(AID), reader)
    request = bytes((READER, 0)) if first == 0x71 else bytes((READER,))
    data, status = one(reader, first, request)
    assert (len(data), status) == (16, 0xAF)
    assert one(reader, 0xAF, bytes(32)) == (b"", 0xAE)
    assert one(reader, 0xAF, bytes(32)) == (b"", 0x1C)
    assert one(reader, first, b"\x0d\x00") == (b"", 0x40)
    assert one(reader, first, request)[1] == 0xAF
    assert one(reader, 0x60) == (b"", 0xCA)
    assert one(reader, 0x77, bytes((READER,))) == (b"", 0x1C)


def one(reader: DirectReader, ins: int, data: bytes = b"") -> tuple[bytes, int]:
    """One frame and its answer."""
    head = bytes((0x90, ins, 0, 0))
    answer = reader.card.transmit(head + (bytes((len(data),)) + data if data else b"") + b"\x00")
    return answer[:-2], answer[-1]


def test_challenges_differ() -> None:
    reader = bench()
    do(select(AID), reader)
    challenges = set()
    for _ in range(20):
        challenges.add(one(reader, 0x71, b"\x00\x00")[0])
        one(reader, 0xAF, bytes(32))
    assert len(challenges) == 20


def test_keys_are_changed_both_ways_and_known_by_their_version() -> None:
    reader = bench()
    session = enter(reader, 0)
    do(session.change_key(READER, key(7), 8, key(READER)), reader)
    assert do(session.get_key_version(READER), reader) == 8
    do(session.change_key(0, key(8), 9), reader)
    assert do(key_version(0), reader) == 9
    assert do(exchange(0x45), reader) == (b"", 0xAE)
    do(authenticate(key(7), READER, os.urandom(16)), reader)
    with pytest.raises(CardRefused):
        enter(reader, 0)
    master = do(authenticate(key(8), 0, os.urandom(16)), reader)
    refuses(reader, master.change_key(READER, key(1), 1, key(WRITER)), 0x1E)


def test_a_key_set_is_prepared_and_rolled_to() -> None:
    reader = bench()
    session = enter(reader, 0)
    refuses(reader, session.roll_key_set(1), 0x40)
    session = enter(reader, 0)
    do(session.initialize_key_set(1), reader)
    for number in range(6):
        do(session.change_key_of_set(1, number, key(number + 20), 2, bytes(16)), reader)
    assert do(session.get_key_version(READER, 1), reader) == 2
    assert do(session.get_key_version(READER), reader) == 1
    refuses(reader, session.roll_key_set(1), 0x9E)
    session = enter(reader, 0)
    do(session.finalize_key_set(1, 7), reader)
    refuses(reader, session.change_key_of_set(1, 1, key(9), 3, key(21)), 0x9D)
    refuses(reader, enter(reader, BOTH).roll_key_set(1), 0x9D)
    do(enter(reader, 0).roll_key_set(1), reader)
    assert do(exchange(0x45), reader) == (b"", 0xAE)
    with pytest.raises(CardRefused):
        enter(reader, READER)
    do(authenticate(key(READER + 20), READER, os.urandom(16)), reader)


def test_the_card_itself() -> None:
    reader = bench()
    do(select(PICC), reader)
    assert do(get_version(), reader).hardware == Generation.EV2
    assert do(get_version(), reader).uid == uid()
    card = do(authenticate(TRANSPORT_KEY, 0, os.urandom(16)), reader)
    assert do(card.application_ids(), reader) == (AID,)
    assert do(card.key_settings(), reader)[0] == 0x0F
    do(card.change_key_settings(0x09), reader)
    do(card.delete_application(AID), reader)
    refuses(reader, card.delete_application(AID), 0xA0)
    card = do(authenticate(TRANSPORT_KEY, 0, os.urandom(16)), reader)
    do(card.format(), reader)
    assert not do(select(AID), reader)


def test_files_are_listed_and_deleted() -> None:
    reader = bench()
    session = enter(reader, 0)
    assert do(session.file_ids(), reader) == bytes(range(1, 7))
    for number, settings_of in files(FULL).items():
        told = do(session.file_settings(number), reader)
        assert (told.mode, told.rights) == (settings_of.mode, settings_of.rights)
    do(session.command(0xDF, bytes((OPEN,)), step="delete"), reader)
    refuses(reader, session.file_settings(OPEN), 0xF0)


def test_a_card_survives_a_restart_with_all_that_it_stored() -> None:
    card = loaded_desfire()
    again = DesfireState.load(card.state.dump())
    assert again == card.state


@pytest.mark.parametrize(
    ("apdu", "answer"),
    [
        ("", "6700"),
        ("00A4040007A000000003101000", "6a82"),
        ("00B0000000", "6e00"),
        ("9060010000", "917e"),
        ("90600000", "917e"),
        ("90FE000000", "91ae"),
        ("90AF000000", "911c"),
        ("905A00000201020000", "6700"),
        ("905A00000301020300", "91a0"),
        ("90BD000000", "917e"),
        ("906400000100", "917e"),
    ],
)
def test_refusals_name_their_reason(apdu: str, answer: str) -> None:
    assert loaded_desfire().transmit(bytes.fromhex(apdu)).hex() == answer


INSTRUCTIONS = [0x0A, 0x0C, 0x1C, 0x3B, 0x3D, 0x45, 0x51, 0x54, 0x55, 0x56, 0x57, 0x5A, 0x5F, 0x60]
INSTRUCTIONS += [0x64, 0x6A, 0x6C, 0x6F, 0x71, 0x77, 0xA7, 0xAA, 0xAF, 0xBB, 0xBD, 0xC0, 0xC1, 0xC4]
INSTRUCTIONS += [0xC6, 0xC7, 0xC8, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xDA, 0xDC, 0xDF, 0xF5, 0xFC]
SAID = st.tuples(st.sampled_from(INSTRUCTIONS), st.binary(max_size=60))


@settings(max_examples=200)
@given(st.lists(SAID | st.just((0x5A, AID)), max_size=20))
def test_whatever_is_said_without_a_key_changes_nothing(said: list[tuple[int, bytes]]) -> None:
    reader = DirectReader(DesfireCard(deepcopy(BENCH)))
    for ins, data in said:
        one(reader, ins, data)
    assert state(reader) == BENCH


@settings(max_examples=200)
@given(st.lists(SAID, max_size=20), st.sampled_from([0, BOTH]))
def test_whatever_a_key_says_is_answered(said: list[tuple[int, bytes]], role: int) -> None:
    reader = DirectReader(DesfireCard(deepcopy(BENCH)))
    session = enter(reader, role)
    for ins, data in said:
        _, status = one(reader, ins, session.channel.reader_wrap(ins, data, mode=MAC)[:59])
        if status:
            session = enter(reader, role) if status != 0xAF and alive(reader, role) else session


def alive(reader: DirectReader, role: int) -> bool:
    """Whether the application and that key are still what they were."""
    application = state(reader).applications.get(AID.hex())
    return application is not None and application.running.keys[role] == key(role)


BENCH = state(bench(MAC))
