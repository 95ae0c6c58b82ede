"""Makes a PBOC purse a member card: its last day, keys of its sites, keys of the issuer.

The number is the card's from delivery. Where keys come from is left to the caller; they come as
types that no terminal can make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from drivers.apdu import CommandApdu, Steps, refused
from drivers.cards.pboc_purse import (
    APPLICATION,
    CREDIT_KEY,
    FIRST_INDEX,
    INFO_BYTES,
    INFO_FILE,
    PRESENCE_KEYS,
    PURCHASE_KEYS,
)
from drivers.errors import CardForeign, CardForged, CardUnknown
from drivers.iso7816 import get_challenge, read_binary, select_name
from drivers.secure_channel.pboc_issuer import (
    CHALLENGE_BYTES,
    KeyKind,
    update_binary,
    write_key,
)
from protocol.card_keys import ChangeKey, CreditKey, SiteKey, TransactionKey, TransportKey
from protocol.pboc_purse import TRANSACTION_KEY, key_input

LINE_KEY = 0x32  # number of the line key in the input of AN10922

_NUMBER, _EXPIRES = slice(10, 20), slice(24, 28)  # places in the public information
_WRONG_MAC = 0x9302

Line = TransportKey | ChangeKey
Write = Callable[[bytes, bytes], CommandApdu]  # line key, challenge -> command


@dataclass(frozen=True, slots=True)
class PurseKeys:
    """Makers of one card's keys from AN10922 input, and the site keys of the card's sites."""

    change: Callable[[bytes], ChangeKey]
    credit: Callable[[bytes], CreditKey]
    transaction: Callable[[bytes], TransactionKey]
    sites: tuple[SiteKey, ...]

    def places(self, number: bytes) -> dict[tuple[KeyKind, int], bytes]:
        """Kind and index on the card -> key, without the line key."""
        keys = {
            (KeyKind.LOAD, FIRST_INDEX): self.credit(key_input(number, CREDIT_KEY)).secret,
            (KeyKind.TRANSACTION, 0): self.transaction(key_input(number, TRANSACTION_KEY)).secret,
        }
        for site in self.sites:
            for kind, first in (
                (KeyKind.PRESENCE, PRESENCE_KEYS),
                (KeyKind.PURCHASE, PURCHASE_KEYS),
            ):
                key = site.read_key(key_input(number, first + site.slot))
                keys[kind, FIRST_INDEX + site.slot] = key.secret
        return keys


def personalise(transport: TransportKey, keys: PurseKeys, expires_day: int) -> Steps[bytes]:
    """Write last day (since 1970-01-01) and keys; return the card's number (10 bytes).

    The line key comes last and each step may be done again: a card torn away anywhere, and one
    that shall know one more site, is presented once more; its balance stays. CardForeign when the
    card takes neither ``transport`` nor its own line key.
    """
    response = yield select_name(APPLICATION)
    if not response.ok:
        raise CardUnknown
    number = (yield from _information())[_NUMBER]
    own = keys.change(key_input(number, LINE_KEY))
    packed = (date(1970, 1, 1) + timedelta(days=expires_day)).strftime("%Y%m%d")
    # First the key with which a card in use counts no wrong try.
    line = yield from _set_last_day((own, transport), bytes.fromhex(packed))
    for (kind, index), key in keys.places(number).items():
        yield from _put_key(line, kind, index, key)
    yield from _put_key(line, KeyKind.LINE, 0, own.secret)
    return number


def _information() -> Steps[bytes]:
    response = yield read_binary(INFO_FILE, INFO_BYTES)
    if not response.ok or len(response.data) != INFO_BYTES:
        raise refused(response, "read the public information")
    return response.data


def _set_last_day(lines: tuple[Line, ...], packed: bytes) -> Steps[Line]:
    """Write it with the first of the keys that the card takes; return that key."""
    for line in lines:
        challenge = yield from _challenge()
        command = update_binary(line.secret, challenge, INFO_FILE, _EXPIRES.start, packed)
        response = yield command
        if response.sw == _WRONG_MAC:
            continue
        if not response.ok:
            raise refused(response, "write the public information")
        if (yield from _information())[_EXPIRES] != packed:
            raise CardForged("the public information reads back differently from what was written")
        return line
    raise CardForeign("another line key")


def _put_key(line: Line, kind: KeyKind, index: int, key: bytes) -> Steps[None]:
    challenge = yield from _challenge()
    response = yield write_key(line.secret, challenge, kind, index, key)
    if not response.ok:
        raise refused(response, f"take key {kind:02X}/{index}")


def _challenge() -> Steps[bytes]:
    response = yield get_challenge(CHALLENGE_BYTES)
    if not response.ok or len(response.data) != CHALLENGE_BYTES:
        raise refused(response, "give a challenge")
    return response.data
