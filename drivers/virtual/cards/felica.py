"""The card's side of FeliCa Lite-S: blocks, challenge, MACs."""

from __future__ import annotations

import hmac

from drivers.secure_channel.felica_lite import (
    BLOCK_BYTES,
    CHALLENGE_BLOCK,
    MAC_BLOCK,
    STATE_BLOCK,
    WRITE_COUNTER_BLOCK,
    WRITE_MAC_BLOCK,
    challenge_block,
    read_mac,
    session_key,
    write_mac,
)
from drivers.virtual.cards.felica_standard import (
    NO_SERVICE,
    READ,
    WRITE,
    FelicaRefused,
    FelicaStandardCard,
)
from drivers.virtual.cards.felica_state import CONFIG, ID, KEY, KEY_VERSION, FelicaState

_READ_ONLY = {ID, 0x83, 0x85, WRITE_COUNTER_BLOCK, MAC_BLOCK}
_SYSTEM = {0x84, KEY_VERSION, KEY}
_WRITES_MAX = 0xFFFFFF
_NO_BLOCK, _DENIED, _WRONG_MAC = b"\x01\xa8", b"\x01\xa9", b"\x01\xb2"


class FelicaCard(FelicaStandardCard):
    """A Lite-S over stored state; polling and frames are those of every FeliCa."""

    system, pmm = b"\x88\xb4", bytes.fromhex("00F1000000014300")

    def __init__(self, state: FelicaState) -> None:
        super().__init__(state.idm)
        self.state = state
        self.reset()

    def reset(self) -> None:
        """Power was lost: challenge and external authentication go."""
        self._challenge: bytes | None = None
        self._proved = False

    def _run(self, code: int, request: bytes) -> bytes:
        service = b"\x0b\x00" if code == READ else b"\x09\x00"
        if request[:1] != b"\x01" or request[1:3] != service:
            raise FelicaRefused(NO_SERVICE)
        count, rest = request[3], request[4:]
        if not 1 <= count <= (4 if code == READ else 2) or len(rest) < 2 * count:
            raise FelicaRefused(b"\xff\xa2")
        named, data = rest[: 2 * count], rest[2 * count :]
        if any(element != 0x80 for element in named[::2]):
            raise FelicaRefused(b"\x01\xa7")
        blocks = list(named[1::2])
        if code == READ and not data:
            return bytes((count,)) + self._read(blocks)
        if code == WRITE and len(data) == BLOCK_BYTES * count:
            self._write(blocks, data)
            return b""
        raise FelicaRefused(b"\xff\xa9")

    def _read(self, blocks: list[int]) -> bytes:
        data = b""
        for block in blocks:
            data += self._mac_of(data) if block == MAC_BLOCK else self._block(block)
        return data

    def _block(self, block: int) -> bytes:
        if block == WRITE_COUNTER_BLOCK:
            return self.state.writes.to_bytes(3, "little").ljust(BLOCK_BYTES, b"\x00")
        if block == STATE_BLOCK:
            return bytes((self._proved,)).ljust(BLOCK_BYTES, b"\x00")
        if block in (CHALLENGE_BLOCK, KEY):
            return bytes(BLOCK_BYTES)  # never shown
        if block not in self.state.blocks:
            raise FelicaRefused(_NO_BLOCK)
        return self.state.blocks[block]

    def _session(self) -> tuple[bytes, bytes]:
        if self._challenge is None:
            raise FelicaRefused(_DENIED)
        key = challenge_block(self.state.blocks[KEY])  # the same reversal both ways
        return session_key(key, self._challenge), self._challenge

    def _mac_of(self, data: bytes) -> bytes:
        key, challenge = self._session()
        return read_mac(key, challenge, data).ljust(BLOCK_BYTES, b"\x00")

    def _write(self, blocks: list[int], data: bytes) -> None:
        block, content = blocks[0], data[:BLOCK_BYTES]
        with_mac = blocks[1:] == [WRITE_MAC_BLOCK]
        if len(blocks) == 2 and not with_mac:
            raise FelicaRefused(_NO_BLOCK)
        if with_mac:
            self._check_mac(block, content, data[BLOCK_BYTES:])
        self._store(block, content, with_mac=with_mac)
        if with_mac:
            self.state.writes += 1

    def _check_mac(self, block: int, content: bytes, mac_block: bytes) -> None:
        key, challenge = self._session()
        counter = self.state.writes.to_bytes(3, "little")
        if self.state.writes == _WRITES_MAX or mac_block[8:11] != counter:
            raise FelicaRefused(_WRONG_MAC)
        expected = write_mac(key, challenge, counter, block, content)
        if not hmac.compare_digest(expected, mac_block[:8]):
            raise FelicaRefused(_WRONG_MAC)

    def _store(self, block: int, content: bytes, *, with_mac: bool) -> None:
        if block == CHALLENGE_BLOCK:
            self._challenge, self._proved = challenge_block(content), False
        elif block == STATE_BLOCK and with_mac:
            self._proved = content[0] == 1
        elif self._may_store(block, with_mac=with_mac):
            self.state.blocks[block] = content
        else:
            raise FelicaRefused(_DENIED)

    def _may_store(self, block: int, *, with_mac: bool) -> bool:
        if block in _READ_ONLY or block not in self.state.blocks:
            return False
        if self.state.is_open:
            return True
        return block != CONFIG and (block not in _SYSTEM or with_mac)
