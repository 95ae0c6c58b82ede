"""The PN532 emulator before drivers that exist: nfcpy's, and libnfc's in a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from typing import Any

import nfc.clf
import nfc.clf.pn532
import nfc.clf.transport
import nfc.tag
import nfc.tag.tt4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.faults import Faults
from drivers.virtual.pn532 import Line, Pn532Chip, Pn532Device
from tests.drivers.virtual.technician import (
    CREDENTIAL,
    READ,
    SELECT,
    blank_card,
    internal_authenticate,
    personalise,
    personalised_card,
)

PROVE = internal_authenticate(bytes(16))
DEADLINE_S = 20.0
TYPE_A = nfc.clf.RemoteTarget("106A")


@pytest.fixture
def device() -> Iterator[Pn532Device]:
    device = Pn532Device()
    yield device
    device.close()


@contextlib.contextmanager
def opened(path: str) -> Iterator[Any]:
    """Nfcpy's frontend on a serial path."""
    frontend = nfc.ContactlessFrontend()
    transport = nfc.clf.transport.TTY(path)
    try:
        frontend.device = nfc.clf.pn532.init(transport)
        yield frontend
    finally:
        with contextlib.suppress(OSError, termios.error):
            frontend.close()
        with contextlib.suppress(termios.error):
            transport.close()


def activated(frontend: Any) -> Any:
    """The card in the field, ready for commands."""
    return nfc.tag.activate(frontend, frontend.sense(TYPE_A))


def test_a_whole_dialogue_through_nfcpys_own_driver(device: Pn532Device) -> None:
    card = personalised_card()
    device.insert(card)
    with opened(device.path) as frontend:
        tag = activated(frontend)
        assert bytes(tag.identifier) == card.uid
        assert tag.transceive(SELECT)[-2:] == b"\x90\x00"
        assert tag.transceive(READ) == CREDENTIAL[:256] + b"\x90\x00"
        assert tag.transceive(bytes.fromhex("00B0810000012E")) == CREDENTIAL + b"\x90\x00"
        assert tag.transceive(PROVE)[:4] == bytes.fromhex("00000001")
        assert tag.is_present
        device.remove()
        assert not tag.is_present


def test_a_card_is_personalised_over_the_line(device: Pn532Device) -> None:
    card = blank_card()
    device.insert(card)
    with opened(device.path) as frontend:
        tag = activated(frontend)
        personalise(lambda apdu: bytes(tag.transceive(apdu)))
    assert card.state.lifecycle == 1
    assert card.state.file == CREDENTIAL


def test_no_card_is_no_target(device: Pn532Device) -> None:
    with opened(device.path) as frontend:
        assert frontend.sense(TYPE_A) is None
        assert frontend.sense(nfc.clf.RemoteTarget("212F")) is None
        assert frontend.sense(nfc.clf.RemoteTarget("106B")) is None


def test_the_field_going_off_resets_the_card(device: Pn532Device) -> None:
    device.insert(personalised_card())
    with opened(device.path) as frontend:
        tag = activated(frontend)
        tag.transceive(SELECT)
        frontend.device.mute()
        tag = activated(frontend)
        assert tag.transceive(READ).hex() == "6985"


@pytest.mark.parametrize("lost", ["command", "answer"])
@pytest.mark.parametrize("apdu", [1, 2, 3])
def test_a_card_torn_away_at_any_apdu(device: Pn532Device, apdu: int, lost: str) -> None:
    card = personalised_card()
    device.insert(card)
    device.faults.cut_after(apdu, answer_lost=lost == "answer")
    with opened(device.path) as frontend:
        tag = activated(frontend)
        for command in (SELECT, PROVE, READ)[: apdu - 1]:
            assert tag.transceive(command)[-2:] == b"\x90\x00"
        with pytest.raises(nfc.tag.tt4.Type4TagCommandError):
            tag.transceive((SELECT, PROVE, READ)[apdu - 1])
        assert frontend.sense(TYPE_A) is None
        assert card.state.counter == (apdu == 3 or (apdu == 2 and lost == "answer"))
        device.insert(card)
        assert activated(frontend).transceive(SELECT)[-2:] == b"\x90\x00"


def test_a_card_taken_away_while_it_works(device: Pn532Device) -> None:
    device.insert(personalised_card())
    with opened(device.path) as frontend:
        tag = activated(frontend)
        device.faults.latency_ms = 100
        started = time.perf_counter()
        timer = threading.Timer(0.02, device.remove)
        timer.start()
        with pytest.raises(nfc.tag.tt4.Type4TagCommandError):
            tag.transceive(SELECT)
        assert time.perf_counter() - started >= 0.1
        timer.join()


def test_silence_and_garbage_of_the_card(device: Pn532Device) -> None:
    device.insert(personalised_card())
    with opened(device.path) as frontend:
        tag = activated(frontend)
        device.faults.silent = True
        with pytest.raises(nfc.tag.tt4.Type4TagCommandError):
            tag.transceive(SELECT)
        device.faults.clear()
        device.faults.garbage = b"\xde\xad"
        assert activated(frontend).transceive(SELECT) == b"\xde\xad"
        device.faults.clear()
        assert activated(frontend).transceive(SELECT)[-2:] == b"\x90\x00"


@pytest.mark.parametrize("line", [Line.HUNG, Line.NOISE])
def test_a_broken_line_is_an_error_and_a_mended_one_opens_again(
    device: Pn532Device, line: Line
) -> None:
    device.insert(personalised_card())
    with opened(device.path) as frontend:
        device.line = line
        with pytest.raises((OSError, IndexError)):
            frontend.sense(TYPE_A)
        device.line = Line.CLEAN
    with opened(device.path) as frontend:
        assert activated(frontend).transceive(SELECT)[-2:] == b"\x90\x00"


def test_an_unplugged_reader_fails_the_host(device: Pn532Device) -> None:
    with opened(device.path) as frontend:
        device.close()
        with pytest.raises(termios.error):
            frontend.sense(TYPE_A)


DIE_IN_A_FRAME = """
import os, signal, sys
line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
os.write(line, bytes.fromhex(sys.argv[2]))
os.kill(os.getpid(), signal.SIGKILL)
"""
LONG_FRAME = bytes.fromhex("0000FFFFFF0108F7D400") + bytes(range(256))


@pytest.mark.parametrize("sent", [1, 4, 8, 40, 200])
def test_a_reader_killed_in_a_frame_leaves_a_line_that_opens_again(
    device: Pn532Device, sent: int
) -> None:
    device.insert(personalised_card())
    command = [sys.executable, "-c", DIE_IN_A_FRAME, device.path, LONG_FRAME[:sent].hex()]
    assert subprocess.run(command, check=False).returncode == -9
    # The first command may still fall to the dead reader's frame; the next one comes after it.
    with contextlib.suppress(OSError), opened(device.path):
        pass
    with opened(device.path) as frontend:
        assert activated(frontend).transceive(SELECT)[-2:] == b"\x90\x00"


def test_a_line_that_nobody_reads_does_not_stop_the_chip(device: Pn532Device) -> None:
    line = os.open(device.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    echo = bytes.fromhex("0000FFC23ED400") + bytes(192) + bytes.fromhex("2C00")
    for _ in range(2000):
        with contextlib.suppress(BlockingIOError):
            os.write(line, echo)
            os.sched_yield()
    closing = threading.Thread(target=device.close, daemon=True)
    closing.start()
    closing.join(DEADLINE_S)
    os.close(line)
    assert not closing.is_alive()


def test_three_readers_in_one_process_see_their_own_cards() -> None:
    with contextlib.ExitStack() as stack:
        devices = [Pn532Device() for _ in range(3)]
        for device in devices:
            stack.callback(device.close)
        cards = [personalised_card() for _ in devices]
        for device, card in zip(devices, cards, strict=True):
            device.insert(card)
        tags = [activated(stack.enter_context(opened(device.path))) for device in devices]
        for tag in tags:
            tag.transceive(SELECT)
        for count, tag in enumerate(tags, 1):
            for _ in range(count):
                tag.transceive(PROVE)
        assert [card.state.counter for card in cards] == [1, 2, 3]


def test_closing_twice_is_closing_once() -> None:
    device = Pn532Device()
    device.close()
    device.close()
    assert not any(thread.name.endswith(device.path) for thread in threading.enumerate())


CARD = personalised_card()
"""One card for all examples: making one costs a key pair."""


@given(st.lists(st.binary(min_size=1, max_size=264), max_size=20))
def test_no_command_breaks_the_chip(bodies: list[bytes]) -> None:
    chip = Pn532Chip(Faults())
    chip.place(CARD)
    for body in bodies:
        answer = chip.run(body)
        assert answer is None or len(answer) <= 264
    assert chip.run(b"\x02") == bytes.fromhex("32010607")


def test_a_field_that_goes_off_takes_the_cards_power() -> None:
    chip = Pn532Chip(Faults())
    chip.place(CARD)
    assert chip.run(bytes.fromhex("42E080"))[0] == 0  # type: ignore[index]
    assert chip.run(bytes.fromhex("42B2")) == bytes.fromhex("00A3")
    assert chip.run(bytes.fromhex("320102")) == b""
    assert chip.run(bytes.fromhex("42B2")) == b"\x01"


@pytest.mark.libnfc
def test_libnfc_reads_the_same_card(device: Pn532Device) -> None:
    card = personalised_card()
    device.insert(card)
    listed = subprocess.run(
        ["nfc-list"],
        env=os.environ | {"LIBNFC_DEFAULT_DEVICE": f"pn532_uart:{device.path}:115200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = " ".join(listed.split())
    assert "UID (NFCID1): " + card.uid.hex(" ").replace(" ", "  ") in listed
    assert "SAK (SEL_RES): 20" in words
    assert "ATS: " + (bytes.fromhex("7880A100") + card.historical).hex(" ") in words
