"""MACs of FeliCa Lite-S: session key, the MAC of a read, the MAC of a write.

Source: nfcpy's tests, which are no card's captures. Eight-byte groups are little-endian on the air
and big-endian inside; keys are in nfcpy's order.
"""

from __future__ import annotations

import hmac

from drivers.errors import ChannelBroken
from protocol.block_cipher import cbc_encrypt, triple_des

KEY_BYTES = 16
BLOCK_BYTES = 16  # a block of the card
MAC_BYTES = 8
WRITE_COUNTER_BYTES = 3
CHALLENGE_BLOCK, MAC_BLOCK, ID_BLOCK, STATE_BLOCK = 0x80, 0x81, 0x82, 0x92
WRITE_COUNTER_BLOCK, WRITE_MAC_BLOCK = 0x90, 0x91

_GROUP = 8


def challenge_block(challenge: bytes) -> bytes:
    """What to write to block RC so that the card computes with this 16-byte challenge."""
    return _groups_reversed(challenge)


def session_key(card_key: bytes, challenge: bytes) -> bytes:
    """The 16-byte key of a session: the challenge in CBC under the card key."""
    return cbc_encrypt(triple_des(card_key), bytes(_GROUP), challenge)


def mac(data: bytes, key: bytes, iv: bytes, *, flip_key: bool = False) -> bytes:
    """8 bytes over whole groups; writes exchange the halves of the key (``flip_key``)."""
    ordered = key[_GROUP:] + key[:_GROUP] if flip_key else key
    return cbc_encrypt(triple_des(ordered), iv, _groups_reversed(data))[: -_GROUP - 1 : -1]


def read_mac(key: bytes, challenge: bytes, data: bytes) -> bytes:
    """MAC of the blocks of one read under a session key."""
    return mac(data, key, challenge[:_GROUP])


def check_read(key: bytes, challenge: bytes, data: bytes, received: bytes) -> bytes:
    """Return ``data``; ChannelBroken unless ``received`` is its MAC."""
    if not hmac.compare_digest(read_mac(key, challenge, data), received[:MAC_BYTES]):
        raise ChannelBroken("the MAC does not fit")
    return data


def write_mac(key: bytes, challenge: bytes, counter: bytes, block: int, data: bytes) -> bytes:
    """MAC of writing one block; ``counter`` is the 3 bytes of block WCNT as read."""
    head = counter + b"\x00" + bytes((block, 0, WRITE_MAC_BLOCK, 0))
    return mac(head + data, key, challenge[:_GROUP], flip_key=True)


def write_mac_block(key: bytes, challenge: bytes, counter: bytes, block: int, data: bytes) -> bytes:
    """What goes to block MAC_A together with the data: the MAC and the counter it is for."""
    head = write_mac(key, challenge, counter, block, data) + counter
    return head.ljust(BLOCK_BYTES, b"\x00")


def _groups_reversed(data: bytes) -> bytes:
    if len(data) % _GROUP:
        raise ValueError("FeliCa Lite computes over groups of 8 bytes")
    return b"".join(data[at : at + _GROUP][::-1] for at in range(0, len(data), _GROUP))
