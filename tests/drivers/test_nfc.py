"""What only nfcpy's readers have: a line that hangs, babbles or is pulled out, and bad manners."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from drivers.errors import CardUnknown, ReaderLost, ReaderRefused
from drivers.nfc_frontend import AirError, Frontend
from drivers.reader import Presented, ReaderSettings, Technology
from drivers.readers.nfc import READER
from drivers.virtual.nfc_udp import NfcUdpCarrier
from drivers.virtual.pn532 import Line, Pn532Device
from tests.drivers.rigs import Rig
from tests.drivers.world import Log, examiner, member_card, reference


@pytest.fixture(name="link")
def _link(tmp_path: Path) -> Path:
    """The name that udev would give the reader, whatever its number."""
    return tmp_path / "reader"


@pytest.fixture(name="device")
def _device(link: Path) -> Iterator[Pn532Device]:
    device = Pn532Device()
    link.symlink_to(device.path)
    yield device
    device.close()


def on(device: Pn532Device, link: Path) -> Rig:
    """The reader under its name."""
    return Rig(device, READER, ReaderSettings(f"tty:{link}"))


def test_a_reader_pulled_out_and_put_back_is_served_again(device: Pn532Device, link: Path) -> None:
    with on(device, link).supervised() as (log, _):
        device.insert(member_card(1))
        log.wait_for("card")
        device.close()
        log.wait_for("card", "removed", "reader_lost")
        link.unlink()
        back = Pn532Device()
        link.symlink_to(back.path)
        back.insert(member_card(2))
        log.wait_for("card", "removed", "reader_lost", "card")
        assert log.identities[-1].reference == reference(2)
    back.close()


@pytest.mark.parametrize("fault", [Line.HUNG, Line.NOISE])
def test_a_reader_that_hangs_or_babbles_is_opened_again(
    device: Pn532Device, link: Path, fault: Line
) -> None:
    with on(device, link).supervised() as (log, _):
        device.insert(member_card(1))
        log.wait_for("card")
        device.line = fault
        log.wait_for("card", "removed", "reader_lost")
        device.line = Line.CLEAN
        log.wait_for("card", "removed", "reader_lost", "card")


def test_garbage_in_the_middle_of_a_dialogue_is_a_lost_reader(
    device: Pn532Device, link: Path
) -> None:
    device.insert(member_card(1))
    with on(device, link).reader() as reader:
        presented = reader.wait_for_card(5.0)
        assert presented
        device.line = Line.NOISE
        with pytest.raises(ReaderLost):
            examiner().identify(reader, presented)


def test_one_line_has_one_owner(device: Pn532Device, link: Path) -> None:
    with on(device, link).reader(), pytest.raises(ReaderLost):
        READER.open(ReaderSettings(f"tty:{link}"))
    with on(device, link).reader() as again:
        assert again.wait_for_card(0.0) is None


def test_an_adapter_is_asked_to_hold_nothing_back(
    device: Pn532Device, link: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(serial.Serial, "set_low_latency_mode", lambda _, wish: asked.append(wish))
    with on(device, link).reader():
        assert asked
        assert all(asked)


@pytest.mark.parametrize("path", ["tty:/dev/no-such-reader", "usb:999:999", "nonsense"])
def test_a_reader_that_is_not_there_is_lost(path: str) -> None:
    with pytest.raises(ReaderLost):
        READER.open(ReaderSettings(path))


@pytest.mark.parametrize("answer", [b"\x00", b"\xff" * 6, b"OK\r\n", bytes(4096)])
def test_a_line_on_which_something_else_talks_is_a_lost_reader(answer: bytes) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)

    def talk() -> None:
        with contextlib.suppress(OSError):  # the end of the line is the end of the talk
            while os.read(ours, 4096):
                os.write(ours, answer)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        with pytest.raises(ReaderLost):
            READER.open(ReaderSettings(f"tty:{path}"))
    finally:
        os.close(theirs)
        thread.join()
        os.close(ours)


def test_a_card_that_may_take_long_is_not_waited_for_beyond_the_deadline() -> None:
    air = NfcUdpCarrier()
    air.insert(member_card(1))
    frontend = Frontend()
    frontend.attach(f"udp:127.0.0.1:{air.port}")
    tag = frontend.activate(frontend.look("106A"))
    air.faults.silent = True
    started = time.monotonic()
    frontend.deadline = started + 0.2
    with pytest.raises(AirError):
        tag.transceive(bytes.fromhex("00A4040000"), timeout=30.0)
    assert time.monotonic() - started < 15.0
    frontend.detach()
    air.close()


def test_the_udp_link_is_refused_unless_virtual_readers_are_allowed() -> None:
    with pytest.raises(ReaderRefused, match="udp"):
        READER.open(ReaderSettings("udp:127.0.0.1:9"))


def test_a_card_without_apdus_and_number_is_unknown(device: Pn532Device, link: Path) -> None:
    with on(device, link).reader() as reader, pytest.raises(CardUnknown):
        examiner().identify(reader, Presented("reader", b"", technology=Technology.NUMBER))


def test_the_drivers_load_without_nfcpy_and_pyscard_and_say_what_is_missing() -> None:
    program = """
import sys
sys.modules |= {"nfc": None, "smartcard": None, "smartcard.scard": None}
import drivers.supervise, drivers.personalise, drivers.readers.nfc, drivers.readers.pcsc
from drivers.errors import ReaderRefused
from drivers.reader import ReaderSettings
for kind in (drivers.readers.nfc.READER, drivers.readers.pcsc.READER):
    try:
        kind.open(ReaderSettings())
    except ReaderRefused as error:
        print(error.code, error.detail)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert "nfcpy is not installed" in ran.stdout
    assert "pyscard is not installed" in ran.stdout


def test_nfcpy_keeps_its_hands_off_the_programs_warnings() -> None:
    program = """
import warnings
shown = warnings.showwarning
import drivers.nfc_frontend
assert warnings.showwarning is shown
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_a_torn_card_is_no_error_in_the_log(
    device: Pn532Device, link: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), on(device, link).supervised() as (log, _):
        device.faults.cut_after(2)
        device.insert(member_card(1))
        log.wait_for("card_gone", "removed")
    assert caplog.records == []


def test_a_listener_that_fails_does_not_end_the_thread(
    device: Pn532Device, link: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Clumsy(Log):
        def on_removed(self) -> None:
            super().on_removed()
            if len(self.identities) == 1:
                raise RuntimeError("clumsy")

    clumsy = Clumsy()
    with on(device, link).supervised(log=clumsy) as (log, _):
        device.insert(member_card(1))
        log.wait_for("card")
        device.remove()
        log.wait_for("card", "removed")
        device.insert(member_card(2))
        log.wait_for("card", "removed", "card")
    assert "clumsy" in caplog.text
