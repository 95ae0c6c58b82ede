"""The card's side of a PBOC deposit and purse (JR/T 0025.2): purchases, loads, their proof.

A transaction lives in memory until its second command; then balance, number, log and proof change
at once. Other status words than those of ISO/IEC 7816-4 are as public descriptions have them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest

from drivers.apdu import CommandApdu
from drivers.errors import DriverError
from drivers.secure_channel import pboc, pboc_issuer
from drivers.secure_channel.pboc import LoadOffer, PurchaseOffer
from drivers.secure_channel.pboc_issuer import KeyKind
from drivers.tlv import encode
from drivers.virtual.cards.pboc_purse_state import MAC_TRIES, Proof, PurseState
from drivers.virtual.command import SHORT_LE, Command, Refused, parse
from drivers.virtual.transmission import Answer, Handler, Transmission
from protocol import pboc_purse
from protocol.block_cipher import one_block, triple_des
from protocol.pboc_purse import Purse

AID = bytes.fromhex("A00000000386980701")
INFO_SFI, LOG_SFI, LOG_RECORDS = 0x15, 0x18, 10
LAST_NUMBER = 0xFFFF
"""A number never comes again: a card that has counted so far refuses."""

SELECT = 0xA4
_EXPIRES_AT = 24  # of the public information
_COUNTED = (0x80, *pboc_issuer.SECURED)  # classes whose MACs are counted when they are wrong
SHORT_OF_MONEY, NUMBERS_USED_UP, NO_KEY = 0x9401, 0x9402, 0x9403
WRONG_MAC, BLOCKED, NOT_BEGUN, NO_PROOF = 0x9302, 0x9303, 0x6901, 0x9406


@dataclass(frozen=True, slots=True)
class Begun:
    """A transaction between its two commands; ``offer`` is what the card said to the first."""

    purse: Purse
    amount: int
    terminal: bytes
    key: bytes
    offer: LoadOffer | PurchaseOffer


class PbocPurseCard:
    """A state machine from command bytes to answer bytes; it never raises.

    It answers with data also where a command says no Le, as cards of this kind do. ``draw(n)``
    gives n random bytes.
    """

    historical = b"\x80"
    atr = bytes.fromhex("3B8180018080")

    def __init__(self, state: PurseState, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self.state, self._draw = state, draw
        self.uid = b"\x04" + sha256(b"uid" + state.number).digest()[:6]
        self._transmission = Transmission(255, t0=False)
        self._handlers: dict[tuple[int, int], Handler] = {
            (0x00, SELECT): self._select,
            (0x00, 0x84): self._get_challenge,
            (0x84, pboc_issuer.WRITE_KEY): self._write_key,
            (0x04, pboc_issuer.UPDATE_BINARY): self._update_binary,
            (0x00, 0x88): self._internal_authenticate,
            (0x00, 0xB0): self._read_binary,
            (0x00, 0xB2): self._read_record,
            (0x80, 0x50): self._initialize,
            (0x80, 0x52): self._credit,
            (0x80, 0x54): self._debit,
            (0x80, 0x5A): self._prove,
            (0x80, 0x5C): self._balance,
        }
        self.reset()

    def reset(self) -> None:
        """Power was lost: selection and the transaction that was begun go."""
        self._selected = False
        self._begun: Begun | None = None
        self._last: Begun | None = None  # begun by the command before this one
        self._challenge: bytes | None = None
        self._asked: bytes | None = None  # a challenge is good for the next command alone
        self._transmission.reset()

    def transmit(self, apdu: bytes) -> bytes:
        """Answer any bytes whatever with data and a status word."""
        self._last, self._begun = self._begun, None
        self._asked, self._challenge = self._challenge, None
        try:
            command = parse(apdu)
            command = replace(command, ne=command.ne or SHORT_LE)
            data, status = self._transmission.carry(command, self._handler(command))
        except Refused as refused:
            data, status = b"", refused.status
        return data + status.to_bytes(2, "big")

    def _handler(self, command: Command) -> Handler:
        handler = self._handlers.get((command.cla, command.ins))
        if handler is None:
            raise Refused(0x6D00 if command.cla in (0x00, 0x80) else 0x6E00)
        if not self._selected and command.ins != SELECT:
            raise Refused(0x6985)
        if command.cla in _COUNTED and not self.state.mac_tries:
            raise Refused(BLOCKED)
        return handler

    def _select(self, command: Command) -> Answer:
        if command.p1p2 != 0x0400:
            raise Refused(0x6A86)
        if command.data != AID:
            raise Refused(0x6A82)
        self._selected = True
        return encode(0x6F, encode(0x84, AID)), 0x9000

    def _internal_authenticate(self, command: Command) -> Answer:
        _require(command, len(command.data) == 8)
        key = self.state.presence_keys.get(command.p2)
        if key is None:
            raise Refused(NO_KEY)
        return one_block(triple_des(key), command.data), 0x9000

    def _read_binary(self, command: Command) -> Answer:
        if command.p1p2 != (0x80 | INFO_SFI) << 8:
            raise Refused(0x6A82)
        issuer = b"TAPLEDGE" + b"\x02\x01"
        info = issuer + self.state.number + bytes.fromhex("20200101") + self.state.expires
        return (info + b"\x00\x00")[: command.ne], 0x9000

    def _read_record(self, command: Command) -> Answer:
        if command.p2 != LOG_SFI << 3 | 4:
            raise Refused(0x6A82)
        if not 1 <= command.p1 <= len(self.state.log):
            raise Refused(0x6A83)
        return self.state.log[command.p1 - 1], 0x9000

    def _balance(self, command: Command) -> Answer:
        account = self.state.account(_purse(command.p2))
        return account.balance.to_bytes(4, "big"), 0x9000

    def _initialize(self, command: Command) -> Answer:
        _require(command, len(command.data) == 11 and command.p1 in (0, 1))
        purse, data = _purse(command.p2), command.data
        amount, terminal = int.from_bytes(data[1:5], "big"), data[5:]
        keys = self.state.purchase_keys if command.p1 else self.state.load_keys
        if data[0] not in keys:
            raise Refused(NO_KEY)
        key, account = keys[data[0]], self.state.account(purse)
        if (account.offline_seq if command.p1 else account.online_seq) == LAST_NUMBER:
            raise Refused(NUMBERS_USED_UP)
        if command.p1:
            offer: LoadOffer | PurchaseOffer = self._offer_purchase(purse, amount)
        else:
            offer = self._offer_load(purse, amount, terminal, key)
        self._begun = Begun(purse, amount, terminal, key, offer)
        return offer.encode(), 0x9000

    def _offer_purchase(self, purse: Purse, amount: int) -> PurchaseOffer:
        account = self.state.account(purse)
        if amount > account.balance:
            raise Refused(SHORT_OF_MONEY)
        number = account.offline_seq.to_bytes(2, "big")
        return PurchaseOffer(account.balance, number, 0, 1, 0, self._draw(4))

    def _offer_load(self, purse: Purse, amount: int, terminal: bytes, key: bytes) -> LoadOffer:
        account = self.state.account(purse)
        if account.balance + amount > self.state.limit:
            raise Refused(0x6985)
        number = account.online_seq.to_bytes(2, "big")
        offer = LoadOffer(account.balance, number, 1, 0, self._draw(4), b"")
        text = pboc.load_mac1_input(account.balance, amount, purse.load_type, terminal)
        session = pboc_purse.session_key(key, pboc.load_input(offer))
        return offer._replace(mac1=pboc_purse.mac(session, text))

    def _debit(self, command: Command) -> Answer:
        begun = self._last
        if begun is None or not isinstance(begun.offer, PurchaseOffer):
            raise Refused(NOT_BEGUN)
        if command.p1p2 != 0x0100 or len(command.data) != 15:
            raise Refused(0x6A86)
        number, moment, mac1 = command.data[:4], command.data[4:11], command.data[11:]
        terminal_seq = int.from_bytes(number, "big")
        key = pboc_purse.session_key(begun.key, pboc.purchase_input(begun.offer, terminal_seq))
        kind = begun.purse.purchase_type
        details = pboc_purse.transaction(begun.amount, kind, begun.terminal, moment)
        self._check(pboc_purse.mac(key, details), mac1)
        paid = pboc_purse.transaction(begun.amount, kind, begun.terminal, number + moment)
        tac = pboc_purse.mac(pboc_purse.tac_key(self.state.transaction_key), paid)
        mac2 = pboc_purse.mac(key, pboc.purchase_mac2_input(begun.amount))
        account = self.state.account(begun.purse)
        account.balance -= begun.amount
        account.offline_seq += 1
        self._keep(kind, begun.offer.offline_seq, details, mac2 + tac)
        return tac + mac2, 0x9000

    def _credit(self, command: Command) -> Answer:
        begun = self._last
        if begun is None or not isinstance(begun.offer, LoadOffer):
            raise Refused(NOT_BEGUN)
        if command.p1p2 or len(command.data) != 11:
            raise Refused(0x6A86)
        moment, mac2 = command.data[:7], command.data[7:]
        key = pboc_purse.session_key(begun.key, pboc.load_input(begun.offer))
        kind, number = begun.purse.load_type, begun.offer.online_seq
        details = pboc_purse.transaction(begun.amount, kind, begun.terminal, moment)
        self._check(pboc_purse.mac(key, details), mac2)
        account = self.state.account(begun.purse)
        account.balance += begun.amount
        account.online_seq += 1
        text = pboc.load_tac_input(account.balance, number, details)
        tac = pboc_purse.mac(pboc_purse.tac_key(self.state.transaction_key), text)
        self._keep(kind, number, details, bytes(pboc_purse.MAC_BYTES) + tac)
        return tac, 0x9000

    def _get_challenge(self, command: Command) -> Answer:
        if command.ne != pboc_issuer.CHALLENGE_BYTES:
            raise Refused(0x6C00 | pboc_issuer.CHALLENGE_BYTES)
        self._challenge = self._draw(pboc_issuer.CHALLENGE_BYTES)
        return self._challenge, 0x9000

    def _written(self, command: Command) -> bytes:
        """The data of a command under the line key."""
        if self._asked is None or not self.state.line_key:
            raise Refused(0x6982)
        self.state.mac_tries -= 1
        apdu = CommandApdu(command.cla, command.ins, command.p1, command.p2, command.data)
        try:
            data = pboc_issuer.opened(self.state.line_key, self._asked, apdu)
        except DriverError:
            raise Refused(WRONG_MAC) from None
        self.state.mac_tries = MAC_TRIES
        return data

    def _update_binary(self, command: Command) -> Answer:
        data = self._written(command)
        if command.p1p2 != (0x80 | INFO_SFI) << 8 | _EXPIRES_AT or len(data) != 4:
            raise Refused(0x6A82)
        self.state.expires = data
        return b"", 0x9000

    def _write_key(self, command: Command) -> Answer:
        key, state = self._written(command), self.state
        if len(key) != 16:
            raise Refused(0x6700)
        tables = {
            KeyKind.PURCHASE: state.purchase_keys,
            KeyKind.PRESENCE: state.presence_keys,
            KeyKind.LOAD: state.load_keys,
        }
        if command.p1 == KeyKind.LINE:
            state.line_key = key
        elif command.p1 == KeyKind.TRANSACTION:
            state.transaction_key = key
        elif command.p1 in tuple(tables):
            tables[KeyKind(command.p1)][command.p2] = key
        else:
            raise Refused(0x6A86)
        return b"", 0x9000

    def _check(self, expected: bytes, said: bytes) -> None:
        # Spent before it is compared: power lost in between does not give a try back.
        self.state.mac_tries -= 1
        if not compare_digest(expected, said):
            raise Refused(WRONG_MAC)
        self.state.mac_tries = MAC_TRIES

    def _keep(self, kind: int, number: bytes, details: bytes, proof: bytes) -> None:
        self.state.log = [number + bytes(3) + details, *self.state.log][:LOG_RECORDS]
        self.state.proof = Proof(kind, number, proof)

    def _prove(self, command: Command) -> Answer:
        _require(command, len(command.data) == 2)
        kept = self.state.proof
        if kept is None or (kept.kind, kept.sequence) != (command.p2, command.data):
            raise Refused(NO_PROOF)
        return kept.value, 0x9000


def _require(command: Command, well_formed: bool) -> None:  # noqa: FBT001 - says what it is
    if not well_formed:
        raise Refused(0x6700)


def _purse(number: int) -> Purse:
    if number not in tuple(Purse):
        raise Refused(0x6A86)
    return Purse(number)
