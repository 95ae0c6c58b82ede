"""The message that an NTAG 424 DNA writes into its own URL (SUN, or SDM), and what it proves.

Sources: AN12196, section 3 (AES) and AN12321 with AN12304 (LRP). A valid message may be a copy:
that its counter rises for each UID is left to whoever keeps the counters.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import Enum

from cryptography.hazmat.primitives.ciphers.algorithms import AES

from protocol.block_cipher import cbc_decrypt, cbc_encrypt, cmac, odd_bytes, one_block
from protocol.errors import SunRefused
from protocol.lrp import ENCRYPTION_KEY, LrpKey

UID_BYTES = 7
COUNTER_BYTES = 3
MAC_BYTES = 8
AES_PICC_BYTES = 16
LRP_PICC_BYTES = 24  # 8 random bytes, which are the counter of the encryption, and one block

_BLOCK = 16
_HAS_UID, _HAS_COUNTER, _UID_LENGTH = 0x80, 0x40, 0x0F  # PICCDataTag, AN12196 table 1
_ENCRYPTION_LABEL, _MAC_LABEL = b"\xc3\x3c\x00\x01\x00\x80", b"\x3c\xc3\x00\x01\x00\x80"
_LRP_LABEL, _LRP_TRAILER = b"\x00\x01\x00\x80", b"\x1e\xe1"


class SunMode(Enum):
    """Which primitive the tag was personalised for; it can leave AES for LRP once, never back."""

    AES = "aes"
    LRP = "lrp"


@dataclass(frozen=True, slots=True)
class PiccData:
    """What the tag says of itself: nothing of it is proved before ``verify``.

    ``uid`` is empty and ``counter`` (reads so far, 24 bits) None where the tag does not mirror it.
    """

    uid: bytes
    counter: int | None
    mode: SunMode

    @property
    def mirrored(self) -> bytes:
        """UID and counter as session vectors hold them: the counter least significant first."""
        counter = b"" if self.counter is None else self.counter.to_bytes(COUNTER_BYTES, "little")
        return self.uid + counter


@dataclass(frozen=True, slots=True)
class SunKeys:
    """Keys of one read of one tag: for AES two; for LRP both are the session master key."""

    encryption: bytes = field(repr=False)
    mac: bytes = field(repr=False)


def decrypt_picc(meta_key: bytes, encrypted: bytes) -> tuple[bytes, SunMode]:
    """Decrypt PICCENCData: 16 bytes are AES, 24 are LRP, others are SunRefused."""
    if len(encrypted) == AES_PICC_BYTES:
        return cbc_decrypt(AES(meta_key), bytes(_BLOCK), encrypted), SunMode.AES
    if len(encrypted) == LRP_PICC_BYTES:
        start, block = encrypted[:-_BLOCK], encrypted[-_BLOCK:]
        return LrpKey.expand(meta_key).decrypt(0, start, block)[0], SunMode.LRP
    raise SunRefused(f"{len(encrypted)} bytes of tag data; AES has 16 and LRP has 24")


def open_picc(meta_key: bytes, encrypted: bytes) -> PiccData:
    """Read encrypted tag data; SunRefused when it is not, as under a wrong meta key."""
    plain, mode = decrypt_picc(meta_key, encrypted)
    tag = plain[0]
    if tag & _UID_LENGTH != (UID_BYTES if tag & _HAS_UID else 0):
        raise SunRefused("the tag data names a UID of another length")
    end = 1 + (tag & _UID_LENGTH)
    counter = None
    if tag & _HAS_COUNTER:
        counter = int.from_bytes(plain[end : end + COUNTER_BYTES], "little")
    return PiccData(plain[1:end], counter, mode)


def seal_picc(meta_key: bytes, picc: PiccData, random: bytes) -> bytes:
    """The tag's side of ``open_picc``.

    ``random`` fills the block behind what is mirrored; for LRP 8 bytes more stand in front.
    """
    has_uid = _HAS_UID | UID_BYTES if picc.uid else 0
    has_counter = 0 if picc.counter is None else _HAS_COUNTER
    end = len(random) - (_BLOCK - 1 - len(picc.mirrored))
    start, block = random[:end], bytes((has_uid | has_counter,)) + picc.mirrored + random[end:]
    if picc.mode is SunMode.AES:
        return cbc_encrypt(AES(meta_key), bytes(_BLOCK), block)
    return start + LrpKey.expand(meta_key).encrypt(0, start, block)[0]


def plain_picc(uid: str, counter: str, mode: SunMode = SunMode.AES) -> PiccData:
    """Read the unencrypted mirror: two hexadecimal texts, the counter most significant first."""
    try:
        named, count = bytes.fromhex(uid), bytes.fromhex(counter)
    except ValueError as error:
        raise SunRefused("UID or counter is not hexadecimal") from error
    if len(named) != UID_BYTES or len(count) != COUNTER_BYTES:
        raise SunRefused("a UID has 7 bytes and a counter 3")
    return PiccData(named, int.from_bytes(count, "big"), mode)


def session_vectors(picc: PiccData) -> tuple[bytes, bytes]:
    """SV1 for encryption and SV2 for the MAC; LRP has one for both."""
    if picc.mode is SunMode.LRP:
        body = _LRP_LABEL + picc.mirrored
        vector = body + bytes(-(len(body) + len(_LRP_TRAILER)) % _BLOCK) + _LRP_TRAILER
        return vector, vector
    one, two = (label + picc.mirrored for label in (_ENCRYPTION_LABEL, _MAC_LABEL))
    return one.ljust(_BLOCK, b"\x00"), two.ljust(_BLOCK, b"\x00")


def session_keys(picc: PiccData, file_key: bytes) -> SunKeys:
    """Return the keys of this read from the tag's file read key."""
    one, two = session_vectors(picc)
    if picc.mode is SunMode.LRP:
        master = _session_key(picc, file_key, one)
        return SunKeys(master, master)
    return SunKeys(_session_key(picc, file_key, one), _session_key(picc, file_key, two))


def _session_key(picc: PiccData, file_key: bytes, vector: bytes) -> bytes:
    is_lrp = picc.mode is SunMode.LRP
    return LrpKey.expand(file_key).cmac(vector) if is_lrp else cmac(AES(file_key), vector)


def sun_mac(picc: PiccData, file_key: bytes, window: bytes) -> bytes:
    """SDMMAC over the ASCII bytes between the MAC input offset and the MAC offset: 8 bytes."""
    key = _session_key(picc, file_key, session_vectors(picc)[1])
    full = LrpKey.expand(key).cmac(window) if picc.mode is SunMode.LRP else cmac(AES(key), window)
    return odd_bytes(full)


def verify(picc: PiccData, file_key: bytes, window: bytes, mac: bytes) -> None:
    """SunRefused unless the tag that holds ``file_key`` wrote ``window`` in this very read."""
    if not hmac.compare_digest(sun_mac(picc, file_key, window), mac):
        raise SunRefused("the MAC does not fit")


def open_file(picc: PiccData, file_key: bytes, encrypted: bytes) -> bytes:
    """Decrypt SDMENCFileData, whole blocks without padding; call after ``verify``."""
    if picc.counter is None or not encrypted or len(encrypted) % _BLOCK:
        raise SunRefused("encrypted file data needs a mirrored counter and whole blocks")
    key, start = _file_cipher(picc, file_key, picc.counter)
    if isinstance(key, LrpKey):
        return key.decrypt(ENCRYPTION_KEY, start, encrypted)[0]
    return cbc_decrypt(key, start, encrypted)


def seal_file(picc: PiccData, file_key: bytes, plain: bytes) -> bytes:
    """The tag's side of ``open_file``; ``picc`` has a counter."""
    if picc.counter is None:
        raise ValueError("a tag that enciphers its file mirrors its counter")
    key, start = _file_cipher(picc, file_key, picc.counter)
    if isinstance(key, LrpKey):
        return key.encrypt(ENCRYPTION_KEY, start, plain)[0]
    return cbc_encrypt(key, start, plain)


def _file_cipher(picc: PiccData, file_key: bytes, counter: int) -> tuple[AES | LrpKey, bytes]:
    """The cipher of the file data of one read, and the IV or the counter it starts from."""
    key = _session_key(picc, file_key, session_vectors(picc)[0])
    number = counter.to_bytes(COUNTER_BYTES, "little")
    if picc.mode is SunMode.LRP:
        return LrpKey.expand(key), number.ljust(2 * COUNTER_BYTES, b"\x00")
    return AES(key), one_block(AES(key), number.ljust(_BLOCK, b"\x00"))
