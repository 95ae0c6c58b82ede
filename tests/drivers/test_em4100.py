"""EM4100 tags: named where the reader is one for them, and else a number like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.cards.em4100 import FAMILY, identify
from drivers.reader import ReaderSettings
from drivers.readers import serial_tag
from drivers.virtual.cards.em4100 import em4100_frame
from drivers.virtual.serial_line import SerialLine
from protocol.record import CardClass
from tests.drivers.frame_world import check_transcript, transcript
from tests.drivers.world import NONCE, TRUST, examiner

TAG = bytes.fromhex("0F00123456")


@pytest.mark.parametrize(
    ("said_in", "said", "family"),
    [("rdm6300", em4100_frame(TAG), FAMILY), ("hex", TAG.hex().encode() + b"\r\n", "uid_only")],
)
def test_a_tag_is_the_same_card_and_named_by_its_own_reader_alone(
    tmp_path: Path, said_in: str, said: bytes, family: str
) -> None:
    line = SerialLine(tmp_path)
    reader = serial_tag.READER.open(ReaderSettings(f"{said_in}:{line.path}"))
    line.say(said)
    presented = reader.wait_for_card(5.0)
    assert presented
    identity = examiner().identify(reader, presented)
    assert (identity.family, identity.assurance) == (family, CardClass.UID)
    reader.close()
    line.unplug()
    if family == FAMILY:
        with pytest.raises(StopIteration) as done:
            next(identify(TRUST, presented, NONCE))
        assert done.value.value == identity
        check_transcript("em4100/number.txt", transcript("An EM4100 tag.", [], identity))
