"""Card family: FeliCa Lite-S with a key of the site; other FeliCa cards are left to their number.

Card and terminal prove themselves to each other as nfcpy does it: reads under the card's MAC, then
one write under the terminal's, which also counts the tap on the card.
"""

from __future__ import annotations

import hmac
from collections.abc import Generator
from dataclasses import dataclass

from drivers.card import CardIdentity, CardKind, CardTrust, FrameDialogue
from drivers.errors import CardForged, CardIssued, CardRefused, CardUnknown, ChannelBroken
from drivers.reader import Presented, Technology
from drivers.secure_channel.felica_lite import (
    BLOCK_BYTES,
    CHALLENGE_BLOCK,
    ID_BLOCK,
    KEY_BYTES,
    MAC_BLOCK,
    STATE_BLOCK,
    WRITE_COUNTER_BLOCK,
    WRITE_COUNTER_BYTES,
    WRITE_MAC_BLOCK,
    challenge_block,
    check_read,
    session_key,
    write_mac_block,
)
from protocol.card_keys import ReadKey, SiteKey, card_input
from protocol.credential import card_reference
from protocol.record import CardClass

FAMILY = "felica"
APPLICATION = b"TLF"  # names our use in the input of AN10922; the card itself has no applications
CARD_KEY = 0
IDM_BYTES = 8
KEY_VERSION = 1

_READ, _WRITE = 0x06, 0x08  # Read and Write Without Encryption; an answer's code is one more
_READ_SERVICE, _WRITE_SERVICE = b"\x0b\x00", b"\x09\x00"
_STATUS_AT, _COUNT_AT, _DATA_AT = 10, 12, 13
_EXTERNALLY_AUTHENTICATED = b"\x01".ljust(BLOCK_BYTES, b"\x00")
_KEY_VERSION_BLOCK, _KEY_BLOCK, _CONFIG_BLOCK = 0x86, 0x87, 0x88
# Of block MC: system blocks may be written (FF) or not (00), and the key only with its MAC (01).
_SYSTEM_AT, _SYSTEM_OPEN, _KEY_WITH_MAC_AT = 2, 0xFF, 5

Step = Generator[bytes, bytes, bytes]


@dataclass(frozen=True, slots=True)
class Session:
    """The key that card and terminal made of this tap's challenge."""

    idm: bytes
    challenge: bytes
    key: bytes


def card_key(site: SiteKey, idm: bytes) -> ReadKey:
    """Return the key of one card at ``site``; the card uses it as two DES keys."""
    return site.read_key(card_input(idm, APPLICATION, CARD_KEY))


def identify(trust: CardTrust, presented: Presented, nonce: bytes) -> FrameDialogue:
    """Five frames: ID, challenge, ID and write counter under MAC, proof of the terminal, its check.

    ``counter`` is WCNT before this tap. ``proof``: nonce (16), ID (16), WCNT (16), MAC (16).
    """
    idm = presented.uid or b""
    if trust.site is None or len(idm) != IDM_BYTES:
        raise CardUnknown("no key for this card")
    own = yield from _read(idm, ID_BLOCK)
    if not hmac.compare_digest(own[:IDM_BYTES], idm):
        raise CardUnknown("no FeliCa Lite-S")
    session = yield from _challenge(idm, card_key(trust.site, idm), nonce)
    try:
        proved = yield from _read_with_mac(session, ID_BLOCK, WRITE_COUNTER_BLOCK)
    except ChannelBroken as error:
        raise CardUnknown("a key of somebody else") from error
    counter = proved[BLOCK_BYTES : BLOCK_BYTES + WRITE_COUNTER_BYTES]
    if not hmac.compare_digest(proved[:IDM_BYTES], idm):
        raise CardForged("another IDm than the reader saw")
    yield from _prove_terminal(session, counter)
    return CardIdentity(
        family=FAMILY,
        assurance=CardClass.SECURE,
        reference=card_reference(trust.reference_key, FAMILY, idm),
        counter=int.from_bytes(counter, "little"),
        proof=nonce + proved,
    )


def _challenge(idm: bytes, key: ReadKey, nonce: bytes) -> Generator[bytes, bytes, Session]:
    yield from _write(idm, (CHALLENGE_BLOCK, challenge_block(nonce)))
    return Session(idm, nonce, session_key(key.secret, nonce))


def _read_with_mac(session: Session, *blocks: int) -> Step:
    """Return blocks and MAC; ChannelBroken unless they are of this card and this session."""
    answer = yield from _read(session.idm, *blocks, MAC_BLOCK)
    data, mac = answer[:-BLOCK_BYTES], answer[-BLOCK_BYTES:]
    check_read(session.key, session.challenge, data, mac)
    return answer


def _prove_terminal(session: Session, counter: bytes) -> Generator[bytes, bytes, None]:
    """Write the state block with MAC_A and see under the card's MAC that it was accepted."""
    state = _EXTERNALLY_AUTHENTICATED
    mac = write_mac_block(session.key, session.challenge, counter, STATE_BLOCK, state)
    yield from _write(session.idm, (STATE_BLOCK, state), (WRITE_MAC_BLOCK, mac))
    if (yield from _read_with_mac(session, STATE_BLOCK))[:1] != state[:1]:
        raise CardForged("the card did not take the terminal's proof")


def _read(idm: bytes, *blocks: int) -> Step:
    """Return whole blocks; CardUnknown from a card that has no such blocks."""
    wanted = b"".join(bytes((0x80, block)) for block in blocks)
    body = idm + b"\x01" + _READ_SERVICE + bytes((len(blocks),)) + wanted
    answer = yield from _exchange(_READ, body)
    if answer[_STATUS_AT]:
        raise CardUnknown("no such blocks")
    data = answer[_DATA_AT:]
    if len(data) != BLOCK_BYTES * len(blocks):
        raise CardRefused(0, f"{len(data)} bytes for {len(blocks)} blocks")
    return data


def _write(idm: bytes, *blocks: tuple[int, bytes]) -> Generator[bytes, bytes, None]:
    wanted = b"".join(bytes((0x80, block)) for block, _ in blocks)
    data = b"".join(data for _, data in blocks)
    body = idm + b"\x01" + _WRITE_SERVICE + bytes((len(blocks),)) + wanted + data
    answer = yield from _exchange(_WRITE, body)
    if answer[_STATUS_AT]:
        status = int.from_bytes(answer[_STATUS_AT : _STATUS_AT + 2], "big")
        raise CardRefused(status, f"write block {blocks[0][0]:02X}: {status:04X}")


def _exchange(code: int, body: bytes) -> Step:
    """One frame each way, with length byte; CardRefused for an answer that is none."""
    answer = yield bytes((2 + len(body), code)) + body
    idm = body[:IDM_BYTES]
    head = bytes((len(answer) & 0xFF, code + 1)) + idm
    if not answer.startswith(head) or len(answer) < _COUNT_AT:
        raise CardRefused(0, f"an answer of {len(answer)} bytes to command {code:02X}")
    return answer


def personalise(idm: bytes, key: ReadKey, nonce: bytes) -> Generator[bytes, bytes, None]:
    """Give a blank card its key and close its system blocks, with a proof in between.

    Closing is the last write: a card torn away before it takes all of this again, and one torn
    away after it is CardIssued and what ``identify`` knows. ``nonce`` has 16 fresh random bytes.
    """
    config = yield from _read(idm, _CONFIG_BLOCK)
    if config[_SYSTEM_AT] != _SYSTEM_OPEN:
        raise CardIssued
    version = KEY_VERSION.to_bytes(2, "little").ljust(BLOCK_BYTES, b"\x00")
    yield from _write(idm, (_KEY_VERSION_BLOCK, version))
    yield from _write(idm, (_KEY_BLOCK, challenge_block(key.secret[:KEY_BYTES])))
    session = yield from _challenge(idm, key, nonce)
    yield from _read_with_mac(session, ID_BLOCK)
    closed = bytearray(config)
    closed[_SYSTEM_AT], closed[_KEY_WITH_MAC_AT] = 0x00, 0x01
    yield from _write(idm, (_CONFIG_BLOCK, bytes(closed)))
    if (yield from _read_with_mac(session, _CONFIG_BLOCK))[:BLOCK_BYTES] != closed:
        raise CardForged("the configuration reads back differently from what was written")


CARD = CardKind(
    name=FAMILY,
    assurance=CardClass.SECURE,
    identify=identify,
    technology=Technology.FELICA,
    needs_site=True,
)
