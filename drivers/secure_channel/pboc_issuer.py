"""How an issuer writes a PBOC card: commands under its line key, each bound to a new challenge.

PBOC leaves this to issuers. Ours is WRITE KEY and UPDATE BINARY as public descriptions of FM1208
have them: data enciphered with 3DES, a MAC of 4 bytes (ISO/IEC 9797-1, algorithm 3) that begins
with the card's challenge. Not seen with a physical card. Both sides.
"""

from __future__ import annotations

from enum import IntEnum
from hmac import compare_digest

from drivers.apdu import CommandApdu
from drivers.errors import ChannelBroken
from drivers.secure_channel.padded import decipher, encipher
from drivers.secure_channel.retail_mac import mac
from protocol.block_cipher import triple_des

CHALLENGE_BYTES = 8
MAC_BYTES = 4
WRITE_KEY, UPDATE_BINARY = 0xD4, 0xD6
SECURED = 0x84, 0x04  # class: proprietary WRITE KEY, UPDATE BINARY of ISO/IEC 7816-4


class KeyKind(IntEnum):
    """What a key is for; keys of one kind have an index."""

    TRANSACTION = 0x34
    PRESENCE = 0x35
    LINE = 0x36
    PURCHASE = 0x3E
    LOAD = 0x3F


def write_key(line: bytes, challenge: bytes, kind: KeyKind, index: int, key: bytes) -> CommandApdu:
    """WRITE KEY: ``key`` (16 bytes) replaces what the card has in this place."""
    text = encipher(triple_des(line), key, bytes(CHALLENGE_BYTES))
    return _sealed(line, challenge, CommandApdu(SECURED[0], WRITE_KEY, kind, index, text))


def update_binary(line: bytes, challenge: bytes, sfi: int, offset: int, data: bytes) -> CommandApdu:
    """UPDATE BINARY of a file by its short identifier, data in clear."""
    command = CommandApdu(SECURED[1], UPDATE_BINARY, 0x80 | sfi, offset, data)
    return _sealed(line, challenge, command)


def opened(line: bytes, challenge: bytes, command: CommandApdu) -> bytes:
    """Card: return the data of a command, deciphered where it is a key; ChannelBroken."""
    body, code = command.data[:-MAC_BYTES], command.data[-MAC_BYTES:]
    plain = CommandApdu(command.cla, command.ins, command.p1, command.p2, body)
    if not compare_digest(code, _mac(line, challenge, plain)):
        raise ChannelBroken("a command to write: wrong MAC")
    if command.ins == WRITE_KEY:
        return decipher(triple_des(line), body, bytes(CHALLENGE_BYTES))
    return body


def _sealed(line: bytes, challenge: bytes, command: CommandApdu) -> CommandApdu:
    data = command.data + _mac(line, challenge, command)
    return CommandApdu(command.cla, command.ins, command.p1, command.p2, data)


def _mac(line: bytes, challenge: bytes, command: CommandApdu) -> bytes:
    length = len(command.data) + MAC_BYTES
    header = bytes((command.cla, command.ins, command.p1, command.p2, length))
    return mac(line, header + command.data, iv=challenge)[:MAC_BYTES]
