"""JavaCards under GlobalPlatform: channels, loading, stored data, keys; torn cards; refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import cap
from drivers.apdu import ResponseApdu
from drivers.errors import (
    CardGone,
    CardRefused,
    CardUnknown,
    DriverError,
)
from drivers.exchange import Deadlines, hold
from drivers.globalplatform import (
    Scope,
    delete,
    get_status,
    install,
    put_key,
    select,
)
from drivers.secure_channel import scp03
from tests.drivers.frame_world import check_transcript, spoken
from tests.drivers.javacard_world import (
    INSTANCE,
    LEVELS,
    MODULE,
    PACKAGE,
    PARAMETERS,
    STORED,
    cap_file,
    channel,
    java_card,
    key_set,
    provide,
    state,
)
from tests.drivers.rigs import Rig, present
from tests.drivers.world import DirectReader, do

EVERY_LEVEL = [(protocol, level) for protocol, levels in LEVELS.items() for level in levels]
protocols = pytest.mark.parametrize("protocol", [2, 3])


def read_back(reader: DirectReader) -> dict[int, bytes]:
    """What the installed applet has."""
    do(select(INSTANCE), reader)
    found = {}
    for number in STORED:
        answer = reader.card.transmit(b"\x80\xca" + number.to_bytes(2, "big") + b"\x00")
        assert answer[-2:] == b"\x90\x00"
        found[number] = answer[:-2]
    return found


@pytest.mark.parametrize(("protocol", "level"), EVERY_LEVEL)
def test_an_applet_is_loaded_installed_and_given_its_data(protocol: int, level: int) -> None:
    reader = DirectReader(java_card(protocol))
    do(provide((key_set(protocol),), level), reader)
    assert read_back(reader) == STORED
    assert state(reader).instances[INSTANCE].parameters == PARAMETERS
    assert state(reader).packages[PACKAGE].code == cap.read(cap_file()).code
    opened = channel(reader, level)
    assert [each.aid for each in do(get_status(opened, Scope.PACKAGES), reader)] == [PACKAGE]
    assert [each.aid for each in do(get_status(opened, Scope.APPLICATIONS), reader)] == [INSTANCE]


@protocols
def test_what_is_installed_can_be_deleted(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    do(provide((key_set(protocol),), 3), reader)
    opened = channel(reader)
    with pytest.raises(CardRefused):
        do(delete(opened, PACKAGE), reader)
    assert do(delete(opened, PACKAGE, related=True), reader)
    assert not do(delete(opened, PACKAGE, related=True), reader)
    assert do(get_status(opened, Scope.PACKAGES), reader) == ()
    with pytest.raises(CardUnknown):
        do(select(INSTANCE), reader)


def test_a_long_registry_comes_in_pieces() -> None:
    reader = DirectReader(java_card())
    opened = channel(reader)
    do(install(opened, cap.read(cap_file()), MODULE, INSTANCE), reader)
    names = [INSTANCE + bytes((n,)) for n in range(30)]
    made = state(reader).instances.pop(INSTANCE)
    state(reader).instances = dict.fromkeys(names, made)
    reader.sent.clear()
    found = do(get_status(opened, Scope.APPLICATIONS), reader)
    assert [entry.aid for entry in found] == names
    assert len(reader.sent) > 2


@protocols
def test_keys_are_replaced_and_the_old_ones_open_nothing(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    own, next_own = key_set(protocol, 1, b"own"), key_set(protocol, 2, b"next")
    do(put_key(channel(reader), own), reader)
    with pytest.raises(CardRefused):
        channel(reader)
    do(put_key(channel(reader, None, own), next_own, replaces=1), reader)
    assert set(state(reader).keys) == {2}
    assert channel(reader, None, own, next_own).key_set == next_own


def test_scp03_takes_keys_of_32_bytes() -> None:
    reader = DirectReader(java_card())
    own = replace(key_set(3, 1), keys=scp03.StaticKeys(*(bytes((n,)) * 32 for n in (1, 2, 3))))
    do(put_key(channel(reader), own), reader)
    assert channel(reader, None, own).key_set == own


def test_keys_of_the_other_protocol_are_a_mistake_of_the_caller() -> None:
    reader = DirectReader(java_card())
    with pytest.raises(ValueError, match="protocol"):
        do(put_key(channel(reader), key_set(2, 1, b"own")), reader)


def apdus(run: Callable[[DirectReader], object], reader: DirectReader) -> int:
    """How many commands ``run`` takes."""
    run(reader)
    return len(reader.sent)


@protocols
def test_a_card_torn_away_at_any_command_is_provided_by_doing_it_again(protocol: int) -> None:
    steps = provide((key_set(protocol),), 3)
    total = apdus(lambda reader: do(steps, reader), DirectReader(java_card(protocol)))
    assert total > 8
    for torn in range(1, total + 1):
        for lost in (False, True):
            reader = DirectReader(java_card(protocol))
            reader.faults.cut_after(torn, answer_lost=lost)
            with pytest.raises(CardGone):
                do(provide((key_set(protocol),), 3), reader)
            reader.card.reset()
            done = (torn, lost) == (total, True)
            known = state(reader).instances.get(INSTANCE)
            assert bool(known and known.data == STORED) is done
            do(provide((key_set(protocol),), 3), reader)
            assert read_back(reader) == STORED


@protocols
@pytest.mark.parametrize("lost", [False, True])
def test_a_torn_put_key_leaves_one_of_both_sets(protocol: int, lost: bool) -> None:  # noqa: FBT001
    reader = DirectReader(java_card(protocol))
    opened, own = channel(reader), key_set(protocol, 1, b"own")
    reader.faults.cut_after(1, answer_lost=lost)
    with pytest.raises(CardGone):
        do(put_key(opened, own), reader)
    reader.card.reset()
    found = channel(reader, None, own, key_set(protocol)).key_set
    assert found == (own if lost else key_set(protocol))


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_from_a_card_is_a_driver_error(answers: list[bytes]) -> None:
    steps = provide((key_set(3),), 0x33)
    next(steps)
    with pytest.raises(DriverError):  # noqa: PT012 - whichever answer ends it
        for answer in answers:
            steps.send(ResponseApdu(answer, 0x9000))
        steps.send(ResponseApdu(b"", 0x6F00))


# Both buses, and the recorded dialogue.


@protocols
def test_over_a_real_reader_stack(rig: Rig, protocol: int) -> None:
    card = java_card(protocol)
    rig.carrier.insert(card)
    patient = Deadlines(exchange_s=5.0, dialogue_s=20.0)
    with rig.reader() as reader:
        presented = present(reader)
        steps = provide((key_set(protocol),), LEVELS[protocol][-1])
        hold(steps, reader, patient, time.monotonic, extended=presented.extended)
    assert card.state.instances[INSTANCE].data == STORED


@protocols
def test_the_dialogue_is_as_recorded(protocol: int) -> None:
    reader = DirectReader(java_card(protocol))
    do(provide((key_set(protocol),), LEVELS[protocol][-1]), reader)
    title = f"SCP0{protocol}: an applet is loaded, installed and given its data."
    check_transcript(f"globalplatform/scp0{protocol}.txt", spoken(reader.said, title))
