"""What holds for each reader that only says what it reads, over pyserial on a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drivers.card import CardTrust, CodeTrust
from drivers.cards import qr_credential, uid_only
from drivers.errors import CardGone, ReaderLost, ReaderRefused
from drivers.reader import Presented, Reader, ReaderKind, ReaderSettings, Technology
from drivers.readers import scanner, serial_tag
from drivers.supervise import Supervisor
from drivers.virtual.cards.em4100 import em4100_frame
from drivers.virtual.serial_line import SerialLine, track_2_frame
from protocol.credential import card_reference
from protocol.qr_credential import Shown
from tests.drivers.rigs import BACK_OFF
from tests.drivers.world import SOON_S, TRUST, Log, examiner
from tests.protocol.phone import CREDENTIAL, NOW_S, code

TAG = bytes.fromhex("0100A1B2C3")
OTHER_TAG = bytes.fromhex("0100A1B2C4")


@dataclass(frozen=True, slots=True)
class Said:
    """One kind with a way to its path, two frames that it reads, and what the first one means."""

    kind: ReaderKind
    path: str
    frame: bytes
    other: bytes
    meant: bytes | str
    technology: Technology = Technology.NUMBER

    def settings(self, line: SerialLine) -> ReaderSettings:
        """Where the kind finds the line."""
        return ReaderSettings(self.path.format(line.path))


def scanned(path: str, start: bytes, end: bytes) -> Said:
    """A scanner with one way of marking a text."""
    text = code()
    frame, other = (start + each.encode() + end for each in (text, code(nonce=b"\x01" * 8)))
    return Said(scanner.READER, path, frame, other, text, Technology.QR)


def typed(name: str, first: str, other: str, meant: bytes) -> Said:
    """A reader that writes numbers as text."""
    frame, second = (f"{each}\r\n".encode() for each in (first, other))
    return Said(serial_tag.READER, name + ":{}", frame, second, meant)


KINDS = {
    "rdm6300": Said(
        serial_tag.READER, "rdm6300:{}", em4100_frame(TAG), em4100_frame(OTHER_TAG), TAG
    ),
    "hex": typed("hex", "04a1b2c3d4e5f6", "04A1B2C3D4E5F7", bytes.fromhex("04A1B2C3D4E5F6")),
    "decimal": typed("decimal", "0012345678", "0012345679", b"0012345678"),
    "track 2": Said(
        serial_tag.READER,
        "track2:{}?baud=19200",
        track_2_frame("6210123456789", "30121010000012300000"),
        track_2_frame("6210123456780", "30121010000012300000"),
        b"6210123456789",
    ),
    "scanner CR": scanned("{}", b"", b"\r"),
    "scanner LF": scanned("{}", b"", b"\n"),
    "scanner CRLF": scanned("{}", b"", b"\r\n"),
    "scanner, AIM id": scanned("{}?prefix=%5DQ1", b"]Q1", b"\r"),
    "scanner, STX and ETX": scanned("{}?suffix=%03", b"\x02", b"\x03"),
}


@pytest.fixture(name="line")
def _line(tmp_path: Path) -> Iterator[SerialLine]:
    line = SerialLine(tmp_path)
    yield line
    line.unplug()


@pytest.fixture(name="said", params=KINDS)
def _said(request: pytest.FixtureRequest) -> Said:
    return KINDS[request.param]


@contextmanager
def opened(said: Said, line: SerialLine) -> Iterator[Reader]:
    reader = said.kind.open(said.settings(line))
    try:
        yield reader
    finally:
        reader.close()


def present(reader: Reader) -> Presented:
    presented = reader.wait_for_card(SOON_S)
    assert presented
    return presented


def means(presented: Presented, said: Said) -> bool:
    shown = presented.text or presented.uid
    return (shown, presented.technology) == (said.meant, said.technology)


def test_what_is_read_is_presented_once_and_gone_after_a_quiet_time(
    said: Said, line: SerialLine
) -> None:
    with opened(said, line) as reader:
        assert reader.wait_for_card(0.0) is None
        line.say(said.frame * 3)
        assert means(present(reader), said)
        assert not reader.wait_for_removal(0.0)
        with pytest.raises(CardGone):
            reader.transmit(b"\x00", 1.0)
        assert reader.wait_for_removal(SOON_S)
        assert reader.wait_for_card(0.0) is None
        line.say(said.frame)
        assert means(present(reader), said)


def test_another_one_takes_the_place_at_once(said: Said, line: SerialLine) -> None:
    with opened(said, line) as reader:
        line.say(said.frame + said.other + said.other + said.frame)
        assert means(present(reader), said)
        for again in (False, True):
            assert reader.wait_for_removal(0.0)
            assert means(present(reader), said) is again


def test_half_a_frame_and_noise_cost_one_reading_at_most(said: Said, line: SerialLine) -> None:
    with opened(said, line) as reader:
        line.say(said.frame[: len(said.frame) // 2])
        assert reader.wait_for_card(0.3) is None  # longer than the gap within a frame
        line.say(b"\xff\x00\x80" + said.frame[-1:] + said.frame)
        assert means(present(reader), said)


def test_a_flood_without_an_end_is_survived(said: Said, line: SerialLine) -> None:
    with opened(said, line) as reader:
        for _ in range(40):
            line.say(b"\x30" * 1000)
            assert reader.wait_for_card(0.0) is None
        line.say(said.frame[-1:] + said.frame)
        assert means(present(reader), said)


def test_what_came_before_it_was_opened_is_not_read(said: Said, line: SerialLine) -> None:
    line.say(said.other)
    with opened(said, line) as reader:
        line.say(said.frame)
        assert means(present(reader), said)


def test_a_line_belongs_to_one_reader(said: Said, line: SerialLine) -> None:
    with opened(said, line) as reader:
        with pytest.raises(ReaderLost):
            said.kind.open(said.settings(line))
        line.say(said.frame)
        assert means(present(reader), said)
        reader.close()
        with opened(said, line) as second:
            line.say(said.frame)
            assert means(present(second), said)


def test_a_cable_pulled_is_a_reader_lost(said: Said, line: SerialLine) -> None:
    with opened(said, line) as reader:
        line.unplug()
        with pytest.raises(ReaderLost):
            reader.wait_for_card(SOON_S)
        with pytest.raises(ReaderLost):
            reader.wait_for_card(SOON_S)
    with pytest.raises(ReaderLost):
        said.kind.open(said.settings(line))


def test_a_cable_pulled_and_pushed_back_is_survived(said: Said, line: SerialLine) -> None:
    log = Log()
    with supervised(said, line, log):
        say_until(line, said.frame, log, "card")
        line.unplug()
        log.wait_until_heard("reader_lost")
        line.plug()
        say_until(line, said.other, log, "card", 2)
    family = qr_credential.FAMILY if said.technology is Technology.QR else uid_only.FAMILY
    number = CREDENTIAL.card_id if said.technology is Technology.QR else said.meant
    assert isinstance(number, bytes)
    assert log.identities[0].reference == card_reference(TRUST.reference_key, family, number)


@contextmanager
def supervised(said: Said, line: SerialLine, log: Log) -> Iterator[None]:
    watched = examiner(code_trust())
    supervisor = Supervisor(said.kind, said.settings(line), watched, log, BACK_OFF)
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop()


def code_trust() -> CardTrust:
    return replace(TRUST, codes=CodeTrust(NOW_S, Shown()))


def say_until(line: SerialLine, frame: bytes, log: Log, word: str, times: int = 1) -> None:
    """Hold the card there, as a person does, until it was heard of."""
    end = time.monotonic() + SOON_S
    while log.heard.count(word) < times and time.monotonic() < end:
        line.say(frame)
        log.wait_for_change(0.1)
    assert log.heard.count(word) >= times, log.heard


@pytest.mark.parametrize(
    "refused",
    [
        (serial_tag.READER, "/dev/ttyUSB0"),
        (serial_tag.READER, "wiegand:/dev/ttyUSB0"),
        (serial_tag.READER, "hex:ttyUSB0"),
        (serial_tag.READER, "hex:/dev/ttyUSB0?parity=E"),
        (serial_tag.READER, "hex:/dev/ttyUSB0?baud=fast"),
        (scanner.READER, ""),
        (scanner.READER, "/dev/ttyACM0?baud"),
        (scanner.READER, "/dev/ttyACM0?length=4&&="),
    ],
    ids=lambda refused: refused[1],
)
def test_a_path_that_means_nothing_is_refused(refused: tuple[ReaderKind, str]) -> None:
    kind, path = refused
    with pytest.raises(ReaderRefused):
        kind.open(ReaderSettings(path))


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "checksum": lambda frame: frame[:-2] + (b"0" if frame[-2:-1] != b"0" else b"1") + frame[-1:],
    "a digit less": lambda frame: frame[:1] + frame[2:],
    "no start": lambda frame: frame[1:],
    "a letter": lambda frame: frame[:3] + b"G" + frame[4:],
    "a sign": lambda frame: frame[:3] + b" " + frame[4:],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_rdm6300_frame_that_does_not_fit_says_nothing(wrong: str, line: SerialLine) -> None:
    said = KINDS["rdm6300"]
    with opened(said, line) as reader:
        line.say(WRONG[wrong](said.other) + said.frame)
        assert means(present(reader), said)


def test_a_stripe_whose_check_character_does_not_fit_says_nothing(line: SerialLine) -> None:
    said = KINDS["track 2"]
    with opened(said, line) as reader:
        line.say(said.other.replace(b"=3", b"=2") + said.frame)
        assert means(present(reader), said)
