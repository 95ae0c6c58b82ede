"""What the software PBOC purse keeps without power; what it does with it is pboc_purse.py's."""

from __future__ import annotations

from typing import Self

import msgspec
from msgspec import Struct, field

from protocol.pboc_purse import Purse

MAC_TRIES = 5
"""Wrong MACs in a row before the application refuses for good."""


class Account(Struct):
    """One of the two purses: minor units, and the numbers of its next transactions."""

    balance: int = 0
    online_seq: int = 0
    offline_seq: int = 0


class Proof(Struct):
    """What GET TRANSACTION PROVE gives: MAC and TAC of the last transaction."""

    kind: int
    sequence: bytes
    value: bytes


class PurseState(Struct):
    """Stored state; ``number`` has 10 bytes, keys have 16 and an index, ``log`` is newest first.

    ``expires`` is YYYYMMDD in 4 bytes of packed digits; ``limit`` is the most that a purse holds.
    ``line_key`` (16) writes keys; without it nobody does.
    """

    number: bytes
    expires: bytes
    purchase_keys: dict[int, bytes]
    presence_keys: dict[int, bytes]
    load_keys: dict[int, bytes]
    transaction_key: bytes
    limit: int = 100_000
    mac_tries: int = MAC_TRIES
    deposit: Account = field(default_factory=Account)
    purse: Account = field(default_factory=Account)
    log: list[bytes] = field(default_factory=list)
    proof: Proof | None = None
    line_key: bytes = b""

    @classmethod
    def blank(cls, number: bytes, transport_key: bytes) -> Self:
        """State on delivery: a number, and a transport key that writes everything else."""
        return cls(number, bytes(4), {}, {}, {}, bytes(16), line_key=transport_key)

    def account(self, purse: Purse) -> Account:
        """The purse that a command names."""
        return self.deposit if purse is Purse.DEPOSIT else self.purse

    @classmethod
    def load(cls, stored: bytes) -> Self:
        """Read what `dump` wrote."""
        return msgspec.msgpack.decode(stored, type=cls)

    def dump(self) -> bytes:
        """Everything, keys in clear: whoever stores this has the card."""
        return msgspec.msgpack.encode(self)
