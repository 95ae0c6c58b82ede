"""Our APDU layer and a card that nobody here wrote: vsmartcard's vicc behind the real pcscd.

It is no judge of authentication (its challenges stay valid), and it ends where its answer has a
template (SELECT with an FCI) or a writing command has no Le, and takes a command with extended Lc
and Le for a wrong one; so none of these is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.apdu import EXTENDED_NE_MAX, SHORT_NE_MAX, CommandApdu, ResponseApdu, transmit
from drivers.atr import parse
from drivers.errors import CardUnknown
from drivers.iso7816 import get_challenge, select_name, verify
from drivers.reader import Presented, Reader, ReaderSettings
from drivers.readers.pcsc import READER
from tests.drivers.rigs import present
from tests.drivers.world import SOON_S, examiner
from tests.services.pcscd import Pcscd
from tests.services.vicc import PIN, running_vicc

pytestmark = [pytest.mark.pcscd, pytest.mark.vicc]

ATR = bytes.fromhex("3B951381018073FF01000B")
FILE = bytes.fromhex("0001")
FILE_BYTES = 1024
FILE_PARAMETERS = bytes.fromhex("620E 820101 83020001 80020400 880108")
NOTHING_TO_SAY = 0x6282  # done, with less to answer than was asked for
CONTENT = bytes(range(256)) * 3


@pytest.fixture(name="laid", scope="module")
def _laid(pcscd: Pcscd) -> Iterator[tuple[Reader, Presented]]:
    """The foreign card in the second slot, for all tests, and seen to go.

    pcscd takes a quick swap for the card that was there.
    """
    reader = READER.open(ReaderSettings(path=Pcscd.readers[1], allow_virtual=True))
    with running_vicc(pcscd.ports[1]):
        yield reader, present(reader)
    assert reader.wait_for_removal(SOON_S)
    reader.close()


def say(reader: Reader, command: CommandApdu, *, extended: bool = False) -> ResponseApdu:
    """One command, in as many exchanges as it takes."""
    return transmit(command, lambda apdu: reader.transmit(apdu, 5.0), extended=extended)


def test_its_answer_to_reset_is_read(laid: tuple[Reader, Presented]) -> None:
    presented = laid[1]
    assert presented.atr == ATR
    atr = parse(presented.atr)
    assert (atr.protocols, atr.tck, atr.checked) == ((1, 1), 0x0B, 0)


def test_its_files_pin_and_refusals(laid: tuple[Reader, Presented]) -> None:
    reader = laid[0]
    assert say(reader, CommandApdu(0x00, 0xA4, 0x00, 0x0C, b"\x3f\x00")).ok
    challenges = {say(reader, get_challenge(8)).data for _ in range(2)}
    assert [len(challenge) for challenge in challenges] == [8, 8]
    assert say(reader, verify(0x01, b"0000")).sw >> 8 == 0x63
    assert say(reader, verify(0x01, PIN)).ok
    assert say(reader, CommandApdu(0x00, 0xE0, 0x00, 0x00, FILE_PARAMETERS)).ok
    assert say(reader, CommandApdu(0x00, 0xA4, 0x02, 0x0C, FILE)).ok
    for at in range(0, len(CONTENT), 128):
        update = CommandApdu(0x00, 0xD6, at >> 8, at & 0xFF, CONTENT[at : at + 128], ne=1)
        assert say(reader, update).sw == NOTHING_TO_SAY
    read = CommandApdu(0x00, 0xB0, 0x00, 0x00, ne=EXTENDED_NE_MAX)
    assert say(reader, read).data == CONTENT[:SHORT_NE_MAX]
    assert say(reader, read, extended=True).data == CONTENT.ljust(FILE_BYTES, b"\x00")
    assert say(reader, select_name(b"\xf0absent")).sw == 0x6A82
    assert say(reader, CommandApdu(0x00, 0xEE, 0x00, 0x00)).sw == 0x6D00


def test_it_is_no_member_card(laid: tuple[Reader, Presented]) -> None:
    with pytest.raises(CardUnknown):
        examiner().identify(*laid)
