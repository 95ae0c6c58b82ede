"""What a technician's tool says to the software CPU card, built from the standards alone."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState

SERIAL = bytes(range(0x10, 0x20))
TRANSPORT_KEY = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
ADMIN_KEY = bytes.fromhex("000102030405060708090A0B0C0D0E0F")
CREDENTIAL = (300).to_bytes(2, "big") + bytes(at & 0xFF for at in range(300))

SELECT = bytes.fromhex("00A404000BF05441504C45444745520100")
GET_CHALLENGE = bytes.fromhex("0084000010")
GENERATE_KEY_PAIR = bytes.fromhex("0047800000")
ACTIVATE = bytes.fromhex("00440000")
READ = bytes.fromhex("00B0810000")


def internal_authenticate(nonce: bytes) -> bytes:
    """The command that proves the card; the nonce has 16 bytes."""
    return bytes.fromhex("0088000010") + nonce + b"\x00"


def external_authenticate(key: bytes, challenge: bytes) -> bytes:
    """The command that answers the card's challenge with AES-CMAC (RFC 4493)."""
    mac = CMAC(AES128(key))
    mac.update(challenge)
    return bytes.fromhex("0082000110") + mac.finalize()


def update(offset: int, data: bytes) -> bytes:
    """UPDATE BINARY by short file identifier, short or extended as the data needs."""
    length = bytes([len(data)]) if len(data) < 256 else b"\x00" + len(data).to_bytes(2, "big")
    return bytes([0x00, 0xD6, 0x81, offset]) + length + data


def change_admin_key(old: bytes, new: bytes) -> bytes:
    """CHANGE REFERENCE DATA with the new key wrapped (RFC 3394)."""
    return bytes.fromhex("0024010118") + aes_key_wrap(old, new)


def become_admin(transmit: Callable[[bytes], bytes], key: bytes) -> None:
    """Authenticate against a card of T=1 kind."""
    challenge = transmit(GET_CHALLENGE)[:-2]
    assert transmit(external_authenticate(key, challenge)) == b"\x90\x00"


def personalise(transmit: Callable[[bytes], bytes]) -> bytes:
    """The whole way from blank to personalised; the card's public key as an uncompressed point."""
    assert transmit(SELECT)[-2:] == b"\x90\x00"
    become_admin(transmit, TRANSPORT_KEY)
    answer = transmit(GENERATE_KEY_PAIR)
    assert answer[:6] == bytes.fromhex("7F4943864104")
    assert answer[-2:] == b"\x90\x00"
    for command in (
        update(0, CREDENTIAL),
        change_admin_key(TRANSPORT_KEY, ADMIN_KEY),
        ACTIVATE,
    ):
        assert transmit(command) == b"\x90\x00"
    return answer[5:-2]


def blank_card(*, t0: bool = False) -> CpuCard:
    """A card on delivery."""
    return CpuCard(CpuState.blank(SERIAL, TRANSPORT_KEY), t0=t0)


def personalised_card(*, t0: bool = False) -> CpuCard:
    """A card in a member's hand."""
    card = blank_card()
    personalise(card.transmit)
    return CpuCard(card.state, t0=t0)
