"""Puts an applet on a JavaCard and its data into it (GlobalPlatform Card Specification 2.3).

Steps over an open channel: SCP03, or SCP02 for old stock; which, the kind of the keys says. What
the applet is and what its data mean is left to the caller. ``install`` may be repeated after a
card was torn away: it begins by taking away what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from drivers import tlv
from drivers.apdu import SHORT_NE_MAX, TURNS_MAX, CommandApdu, ResponseApdu, Steps, refused
from drivers.cap import LoadFile
from drivers.errors import CardForged, CardRefused, CardUnknown
from drivers.secure_channel import scp02, scp03
from drivers.secure_channel.external_authenticate import initialize_update
from protocol.block_cipher import cbc_encrypt, one_block, triple_des

ISSUER_DOMAIN = bytes.fromhex("A000000151000000")
CHALLENGE_BYTES = 8
# Padded to whole blocks and with its MAC, so much fits one short command of either protocol.
BLOCK_BYTES = 239

_NOT_FOUND, _MORE = 0x6A88, 0x6310
_LAST = 0x80  # P1 of LOAD and STORE DATA
_LOAD_FILE, _APPLET_PARAMETERS = 0xC4, 0xC9
_ENTRY, _AID, _LIFECYCLE, _PRIVILEGES = 0xE3, 0x4F, 0x9F70, 0xC5
_AES, _TRIPLE_DES = 0x88, 0x80  # key types (table 11-16)
_KEY_IDS = 0x81  # P2 of PUT KEY: several keys, the first is number 1


@dataclass(frozen=True, slots=True)
class KeySet:
    """The three keys of a security domain under one version (1 to 127; 255 is the factory's)."""

    version: int
    keys: scp02.Keys | scp03.StaticKeys


class Scope(IntEnum):
    """What GET STATUS tells about: P1."""

    DOMAIN = 0x80
    APPLICATIONS = 0x40
    PACKAGES = 0x20


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the card's registry."""

    aid: bytes
    lifecycle: int
    privileges: bytes


@dataclass(frozen=True, slots=True)
class Channel:
    """An open channel to a security domain; an error ends it."""

    session: scp02.Session | scp03.Session
    key_set: KeySet

    def say(self, command: CommandApdu) -> Steps[ResponseApdu]:
        """Send a command protected and return the plain answer, whatever its status."""
        response = yield self.session.protect(command)
        return self.session.open(response) if isinstance(self.session, scp03.Session) else response

    def do(self, command: CommandApdu, step: str) -> Steps[bytes]:
        """Send a command that must succeed; return the data of its answer."""
        response = yield from self.say(command)
        if not response.ok:
            raise refused(response, step)
        return response.data

    def sealed(self, key: bytes) -> bytes:
        """A new key and its check value as PUT KEY carries them (11.8.2.3; Amendment D, 7.2)."""
        if isinstance(self.session, scp03.Session):
            text = cbc_encrypt(AES(self.key_set.keys.dek), bytes(16), key)
            body = bytes((len(key),)) + text
            return bytes((_AES, len(body))) + body + b"\x03" + scp03.key_check_value(key)
        cipher = triple_des(self.session.keys.dek)
        text = one_block(cipher, key[:8]) + one_block(cipher, key[8:])
        return bytes((_TRIPLE_DES, len(text))) + text + b"\x03" + scp02.key_check_value(key)


def select(aid: bytes = ISSUER_DOMAIN) -> Steps[bytes]:
    """Select a security domain or an applet; CardUnknown when it is not there."""
    response = yield CommandApdu(0x00, 0xA4, 0x04, 0x00, aid, ne=SHORT_NE_MAX)
    if not response.ok:
        raise CardUnknown(f"no application {aid.hex().upper()}")
    return response.data


def open_channel(
    key_sets: Sequence[KeySet], challenge: bytes, level: int, domain: bytes = ISSUER_DOMAIN
) -> Steps[Channel]:
    """SELECT, INITIALIZE UPDATE, EXTERNAL AUTHENTICATE with the first of ``key_sets`` on the card.

    ``challenge`` has CHALLENGE_BYTES fresh random bytes, ``level`` is a security level of the
    protocol. CardForged, and no other key set is tried, when a key is not the card's: a card locks
    itself after a few wrong ones.
    """
    yield from select(domain)
    for key_set in key_sets:
        response = yield initialize_update(key_set.version, challenge)
        if response.sw == _NOT_FOUND:
            continue
        if not response.ok:
            raise refused(response, "INITIALIZE UPDATE")
        proof, session = _authenticate(key_set.keys, challenge, response.data, level)
        response = yield proof
        if not response.ok:
            raise refused(response, "EXTERNAL AUTHENTICATE")
        return Channel(session, key_set)
    raise CardRefused(_NOT_FOUND, "the card has none of these key versions")


def _authenticate(
    keys: scp02.Keys | scp03.StaticKeys, challenge: bytes, answer: bytes, level: int
) -> tuple[CommandApdu, scp02.Session | scp03.Session]:
    if isinstance(keys, scp03.StaticKeys):
        return scp03.authenticate(keys, challenge, scp03.Greeting.decode(answer), level)
    return scp02.authenticate(keys, challenge, scp02.Greeting.decode(answer), level)


def get_status(channel: Channel, scope: Scope) -> Steps[tuple[Entry, ...]]:
    """Return the card's registry (11.4); CardRefused when it never ends."""
    entries: list[Entry] = []
    for turn in range(TURNS_MAX):
        command = CommandApdu(
            0x80, 0xF2, scope, 0x02 | bool(turn), bytes((_AID, 0)), ne=SHORT_NE_MAX
        )
        response = yield from channel.say(command)
        if response.sw == _NOT_FOUND:
            return tuple(entries)
        if not response.ok and response.sw != _MORE:
            raise refused(response, "GET STATUS")
        entries += _entries(response)
        if response.ok:
            return tuple(entries)
    raise CardRefused(_MORE, "GET STATUS: a registry without end")


def _entries(response: ResponseApdu) -> list[Entry]:
    entries = []
    try:
        for tag, line in tlv.parse_tree(response.data):
            if tag != _ENTRY or isinstance(line, bytes):
                raise tlv.TlvError(f"tag {tag:X} in the registry")
            said = {name: value for name, value in line if isinstance(value, bytes)}
            entries.append(Entry(said[_AID], said[_LIFECYCLE][0], said[_PRIVILEGES]))
    except (tlv.TlvError, KeyError, IndexError) as error:
        raise CardRefused(response.sw, "GET STATUS: not a registry") from error
    return entries


def install(
    channel: Channel, file: LoadFile, module: bytes, instance: bytes, parameters: bytes = b""
) -> Steps[None]:
    """Load a package and make one instance of ``module`` selectable, in place of what was there."""
    yield from delete(channel, file.package, related=True)
    yield from load(channel, file)
    data = (
        _lv(file.package)
        + _lv(module)
        + _lv(instance)
        + _lv(b"\x00")  # no privileges
        + _lv(tlv.encode(_APPLET_PARAMETERS, parameters))
        + _lv(b"")  # no token
    )
    yield from channel.do(
        CommandApdu(0x80, 0xE6, 0x0C, 0x00, data, ne=SHORT_NE_MAX), "INSTALL [for install]"
    )


def load(channel: Channel, file: LoadFile) -> Steps[None]:
    """INSTALL [for load] and as many LOAD as it takes; the package is there after the last one."""
    data = _lv(file.package) + _lv(b"") + _lv(b"") + _lv(b"") + _lv(b"")
    yield from channel.do(
        CommandApdu(0x80, 0xE6, 0x02, 0x00, data, ne=SHORT_NE_MAX), "INSTALL [for load]"
    )
    yield from _send_blocks(channel, 0xE8, tlv.encode(_LOAD_FILE, file.code), "LOAD")


def store_data(channel: Channel, instance: bytes, data: bytes) -> Steps[None]:
    """Hand ``data`` (data groupings) to an instance: INSTALL [for personalization], STORE DATA."""
    target = _lv(b"") + _lv(b"") + _lv(instance) + _lv(b"") + _lv(b"") + _lv(b"")
    yield from channel.do(
        CommandApdu(0x80, 0xE6, 0x20, 0x00, target, ne=SHORT_NE_MAX),
        "INSTALL [for personalization]",
    )
    yield from _send_blocks(channel, 0xE2, data, "STORE DATA")


def _send_blocks(channel: Channel, ins: int, data: bytes, step: str) -> Steps[None]:
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    if not 0 < len(blocks) <= 256:
        raise ValueError(f"{step} takes 1 to {256 * BLOCK_BYTES} bytes")
    for number, block in enumerate(blocks):
        last = _LAST if number == len(blocks) - 1 else 0
        yield from channel.do(CommandApdu(0x80, ins, last, number, block, ne=SHORT_NE_MAX), step)


def put_key(channel: Channel, new: KeySet, *, replaces: int = 0) -> Steps[None]:
    """Give the domain a key set, a further one or in place of version ``replaces``.

    CardForged when the card answers with other check values. A card torn away has either set:
    the next ``open_channel`` is given both, the new one first.
    """
    if type(new.keys) is not type(channel.key_set.keys):
        raise ValueError("new keys are of the channel's protocol")
    sealed = b"".join(map(channel.sealed, new.keys))
    data = bytes((new.version,)) + sealed
    command = CommandApdu(0x80, 0xD8, replaces, _KEY_IDS, data, ne=SHORT_NE_MAX)
    answer = yield from channel.do(command, "PUT KEY")
    check = scp03 if isinstance(new.keys, scp03.StaticKeys) else scp02
    expected = bytes((new.version,)) + b"".join(map(check.key_check_value, new.keys))
    if not compare_digest(answer, expected):
        raise CardForged("PUT KEY: other check values than those of the new keys")


def delete(channel: Channel, aid: bytes, *, related: bool = False) -> Steps[bool]:
    """Delete an instance or a package (and with ``related`` its instances); False: none there."""
    command = CommandApdu(0x80, 0xE4, 0x00, 0x80 * related, tlv.encode(_AID, aid), ne=SHORT_NE_MAX)
    response = yield from channel.say(command)
    if response.sw == _NOT_FOUND:
        return False
    if not response.ok:
        raise refused(response, "DELETE")
    return True


def _lv(value: bytes) -> bytes:
    return tlv.encode_length(len(value)) + value
