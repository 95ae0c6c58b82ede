"""The card's side of a JavaCard under GlobalPlatform: channel, registry, loading, stored data.

Applets do not run: an instance that is selected gives back the data stored in it (GET DATA with
the number of the grouping), so that a test can read what personalisation left.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers import tlv
from drivers.apdu import CommandApdu, ResponseApdu
from drivers.errors import DriverError
from drivers.secure_channel import scp02, scp03
from drivers.virtual.cards.globalplatform_content import Content
from drivers.virtual.cards.globalplatform_state import FAILURES_MAX, JavaCardState
from drivers.virtual.command import Command, Refused
from drivers.virtual.transmission import Answer, Transmission
from protocol.block_cipher import cbc_decrypt, triple_des

ISSUER_DOMAIN = bytes.fromhex("A000000151000000")
SECURE = 0x04
SELECT, INITIALIZE_UPDATE, EXTERNAL_AUTHENTICATE = 0xA4, 0x50, 0x82
GET_DATA, PUT_KEY, GET_STATUS = 0xCA, 0xD8, 0xF2
INSTALL, LOAD, STORE_DATA, DELETE = 0xE6, 0xE8, 0xE2, 0xE4
KEY_INFORMATION = 0x00E0


@dataclass(frozen=True, slots=True)
class Greeted:
    """Between INITIALIZE UPDATE and EXTERNAL AUTHENTICATE."""

    version: int
    host_challenge: bytes
    card_challenge: bytes  # with SCP02 the sequence counter is before it


class JavaCard:
    """A state machine from command bytes to answer bytes; it never raises."""

    historical = b"\x80"
    atr = bytes.fromhex("3B8180018080")
    uid = bytes.fromhex("04474C4F424131")

    def __init__(self, state: JavaCardState, *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self.state, self._draw = state, draw
        self._transmission = Transmission(255, t0=False)
        self.reset()

    def reset(self) -> None:
        """Power was lost: selection, channel and a load that was begun go."""
        self._selected = ISSUER_DOMAIN
        self._close()
        self._transmission.reset()

    def _close(self) -> None:
        self._greeted: Greeted | None = None
        self._session: scp02.Session | scp03.Session | None = None
        self._version = 0
        self._content = Content(self.state)

    def transmit(self, apdu: bytes) -> bytes:
        """Answer any bytes whatever with data and a status word."""
        return self._transmission.answer(apdu, self._run)

    def _run(self, command: Command) -> Answer:
        if command.cla == 0x00 and command.ins == SELECT:
            return self._select(command)
        if command.cla & ~SECURE != 0x80:
            raise Refused(0x6E00)
        if command.ins == GET_DATA:
            return self._get_data(command)
        if self._selected != ISSUER_DOMAIN:
            raise Refused(0x6D00)
        if command.ins == INITIALIZE_UPDATE:
            return self._initialize_update(command)
        if command.ins == EXTERNAL_AUTHENTICATE:
            return self._external_authenticate(command)
        return self._secured(command)

    def _select(self, command: Command) -> Answer:
        if command.p1p2 != 0x0400:
            raise Refused(0x6A86)
        if command.data != ISSUER_DOMAIN and command.data not in self.state.instances:
            raise Refused(0x6A82)
        self._selected = command.data
        self._close()
        return tlv.encode(0x6F, tlv.encode(0x84, command.data)), 0x9000

    def _get_data(self, command: Command) -> Answer:
        instance = self.state.instances.get(self._selected)
        if instance is not None:
            if command.p1p2 not in instance.data:
                raise Refused(0x6A88)
            return instance.data[command.p1p2], 0x9000
        if command.p1p2 != KEY_INFORMATION:
            raise Refused(0x6A88)
        kind = 0x88 if self.state.protocol == scp03.PROTOCOL else 0x80
        keys = b"".join(
            tlv.encode(0xC0, bytes((number, version, kind, len(key))))
            for version, key_set in sorted(self.state.keys.items())
            for number, key in enumerate(key_set, 1)
        )
        return tlv.encode(0xE0, keys), 0x9000

    def _initialize_update(self, command: Command) -> Answer:
        self._close()
        if self.state.failures >= FAILURES_MAX:
            raise Refused(0x6983)
        if len(command.data) != scp03.CHALLENGE_BYTES:
            raise Refused(0x6700)
        version = command.p1 or max(self.state.keys)
        if version not in self.state.keys:
            raise Refused(0x6A88)
        if self.state.protocol == scp03.PROTOCOL:
            challenge = self._draw(scp03.CHALLENGE_BYTES)
            keys = self._derive(version, command.data, challenge)
            proof = scp03.card_cryptogram(keys, command.data, challenge)
            greeting = scp03.Greeting(bytes(10), version, 0x60, challenge, proof).encode()
        else:
            sequence = self.state.sequence.to_bytes(2, "big")
            challenge = sequence + self._draw(scp02.CARD_CHALLENGE_BYTES)
            old = scp02.derive_session(scp02.Keys(*self.state.keys[version]), sequence)
            proof = scp02.card_cryptogram(old, command.data, challenge)
            greeting = scp02.Greeting(bytes(10), version, sequence, challenge[2:], proof).encode()
        self._greeted = Greeted(version, command.data, challenge)
        return greeting, 0x9000

    def _derive(self, version: int, host: bytes, card: bytes) -> scp03.SessionKeys:
        return scp03.derive_session(scp03.StaticKeys(*self.state.keys[version]), host, card)

    def _external_authenticate(self, command: Command) -> Answer:
        greeted = self._greeted
        self._close()
        if greeted is None:
            raise Refused(0x6985)
        # Counted before it is compared: power lost in between does not give a try back.
        self.state.failures += 1
        try:
            self._session = self._accept(greeted, _apdu(command))
        except DriverError:
            raise Refused(0x6300) from None
        self.state.failures = 0
        self._version = greeted.version
        return b"", 0x9000

    def _accept(self, greeted: Greeted, command: CommandApdu) -> scp02.Session | scp03.Session:
        challenges = greeted.host_challenge, greeted.card_challenge
        if self.state.protocol == scp03.PROTOCOL:
            return scp03.accept(self._derive(greeted.version, *challenges), *challenges, command)
        sequence = greeted.card_challenge[:2]
        keys = scp02.derive_session(scp02.Keys(*self.state.keys[greeted.version]), sequence)
        session = scp02.accept(keys, *challenges, command)
        self.state.sequence += 1
        return session

    def _secured(self, command: Command) -> Answer:
        session = self._session
        if session is None:
            raise Refused(0x6982)
        try:
            plain = session.open_command(_apdu(command))
        except DriverError:
            self._close()
            raise Refused(0x6982) from None
        try:
            data, status = self._manage(plain)
        except Refused as refused:
            data, status = b"", refused.status
        except (tlv.TlvError, KeyError, IndexError):
            data, status = b"", 0x6A80
        if isinstance(session, scp02.Session):
            return data, status
        sealed = session.protect_response(ResponseApdu(data, status))
        return sealed.data, sealed.sw

    def _manage(self, command: CommandApdu) -> Answer:
        if command.ins == GET_STATUS:
            return self._content.status(command, ISSUER_DOMAIN)
        if command.ins == PUT_KEY:
            return self._put_key(command)
        steps = {
            INSTALL: self._content.install,
            LOAD: self._content.load,
            STORE_DATA: self._content.store_data,
            DELETE: self._content.delete,
        }
        if command.ins not in steps:
            raise Refused(0x6D00)
        return steps[command.ins](command), 0x9000

    def _put_key(self, command: CommandApdu) -> Answer:
        version, rest, keys, checks = command.data[0], command.data[1:], [], b""
        old = self.state.protocol == scp02.PROTOCOL
        while rest:
            length = rest[1]
            text, check, rest = (
                rest[2 : 2 + length],
                rest[2 + length : 6 + length],
                rest[6 + length :],
            )
            key = self._unsealed(text, old=old)
            value = scp02.key_check_value(key) if old else scp03.key_check_value(key)
            if check != b"\x03" + value:
                raise Refused(0x6A80)
            keys.append(key)
            checks += value
        if len(keys) != 3 or not 0 < version < 0x80:
            raise Refused(0x6A80)
        if command.p1 and command.p1 not in self.state.keys:
            raise Refused(0x6A88)
        kept = {had: value for had, value in self.state.keys.items() if had != command.p1}
        if set(kept) == {0xFF}:
            kept = {}  # the factory's keys go with the first ones of the issuer
        if version in kept:
            raise Refused(0x6A80)
        self.state.keys = kept | {version: keys}
        return bytes((version,)) + checks, 0x9000

    def _unsealed(self, text: bytes, *, old: bool) -> bytes:
        if old:
            if len(text) != 16 or not isinstance(self._session, scp02.Session):
                raise Refused(0x6A80)
            cipher = triple_des(self._session.keys.dek)
            return b"".join(cbc_decrypt(cipher, bytes(8), text[at : at + 8]) for at in (0, 8))
        if len(text) not in (17, 33) or text[0] != len(text) - 1:
            raise Refused(0x6A80)
        return cbc_decrypt(AES(self.state.keys[self._version][2]), bytes(16), text[1:])


def _apdu(command: Command) -> CommandApdu:
    return CommandApdu(command.cla, command.ins, command.p1, command.p2, command.data, command.ne)
