"""Administration of a software DESFire: applications, files, settings and keys.

The caller has checked messaging, and for ChangeFileSettings the file's own right.
"""

from __future__ import annotations

from collections.abc import Callable

from drivers.secure_channel.ev2 import crc32
from drivers.virtual.cards.desfire_files import (
    BOUNDARY,
    LENGTH,
    NOT_FOUND,
    PARAMETER,
    PERMISSION,
    Status,
)
from drivers.virtual.cards.desfire_state import (
    BACKUP,
    CYCLIC,
    EV1,
    LINEAR,
    STANDARD,
    TRANSACTION,
    VALUE,
    Application,
    DesfireState,
    File,
    KeySet,
)
from protocol.block_cipher import xor

PICC = "000000"
MASTER = 0
ILLEGAL, INTEGRITY, NO_SUCH_KEY, NO_APPLICATION, DUPLICATE = 0x1C, 0x1E, 0x40, 0xA0, 0xDE
AES_KEYS, MORE_SETTINGS, KEY_COUNT = 0x80, 0x10, 0x0F
KEY_KIND = 0xC0  # bits of the number of the card's own key in ChangeKey, or of a count of keys
KEYS_MAX, FILES_MAX, KEY_SETS_MAX = 14, 32, 16
ADDITIONAL = 0x80
# Bits of an application's settings; the high nibble is the key that changes keys.
MASTER_CHANGES, FREE_LISTING, SETTINGS_CHANGE = 0x01, 0x02, 0x08
CHANGED_BY_ITSELF, FROZEN = 0xE, 0xF


class Administration:
    """One command, under the authenticated key number ``key``."""

    def __init__(self, state: DesfireState, selected: str, key: int) -> None:
        self._state, self._selected, self._key = state, selected, key
        self._application: Application = state.applications[selected]
        self._at_card: dict[int, Callable[[bytes], bytes]] = {
            0xCA: self._create_application,
            0xDA: self._delete_application,
            0x6A: self._application_ids,
            0xFC: self._format,
        }
        self._in_application: dict[int, Callable[[bytes], bytes]] = {
            0xCD: lambda body: self._create(STANDARD, body),
            0xCB: lambda body: self._create(BACKUP, body),
            0xCC: lambda body: self._create(VALUE, body),
            0xC1: lambda body: self._create(LINEAR, body),
            0xC0: lambda body: self._create(CYCLIC, body),
            0xCE: lambda body: self._create(TRANSACTION, body),
            0xDF: self._delete_file,
            0x6F: self._file_ids,
            0xF5: self._file_settings,
            0x5F: self._change_file_settings,
            0xC6: self._change_key_of_set,
            0x56: self._initialize_key_set,
            0x57: self._finalize_key_set,
            0x55: self._roll_key_set,
        }
        self._anywhere: dict[int, Callable[[bytes], bytes]] = {
            0x45: self._key_settings,
            0x54: self._change_key_settings,
            0xC4: self._change_key,
        }

    def run(self, ins: int, body: bytes) -> bytes:
        """Run a command on header and plain data.  Raises Status."""
        here = self._at_card if self._selected == PICC else self._in_application
        handler = here.get(ins) or self._anywhere.get(ins)
        if handler is None or (ins in (0xC6, 0x56, 0x57, 0x55, 0xCE) and self._is_old()):
            raise Status(ILLEGAL)
        return handler(body)

    def _is_old(self) -> bool:
        return self._state.generation <= EV1

    def _require_master(self) -> None:
        if self._key != MASTER:
            raise Status(PERMISSION)

    # The card.

    def _create_application(self, body: bytes) -> bytes:
        self._require_master()
        if len(body) not in (5, 10):
            raise Status(LENGTH)
        name, settings, kind = body[:3].hex(), body[3], body[4]
        if name in self._state.applications:
            raise Status(DUPLICATE)
        count = kind & KEY_COUNT
        if not kind & AES_KEYS or not 1 <= count <= KEYS_MAX:
            raise Status(PARAMETER)
        sets: list[KeySet | None] = [KeySet.new(count)]
        roll_key = 0
        if bool(kind & MORE_SETTINGS) != (len(body) == 10):
            raise Status(PARAMETER)
        if kind & MORE_SETTINGS:
            more, _version, number, size, roll_key = body[5:]
            if self._is_old() or more != 1 or size != 16 or not 2 <= number <= KEY_SETS_MAX:
                raise Status(PARAMETER)
            sets += [None] * (number - 1)
        self._state.applications[name] = Application(settings, sets, roll_key & 0x0F)
        return b""

    def _delete_application(self, body: bytes) -> bytes:
        self._require_master()
        if body.hex() == PICC or self._state.applications.pop(body.hex(), None) is None:
            raise Status(NO_APPLICATION)
        return b""

    def _application_ids(self, _body: bytes) -> bytes:
        return b"".join(bytes.fromhex(name) for name in self._state.applications if name != PICC)

    def _format(self, _body: bytes) -> bytes:
        self._require_master()
        self._state.applications = {PICC: self._application}
        return b""

    # Files.

    def _create(self, kind: int, body: bytes) -> bytes:
        self._require_master()
        length = {STANDARD: 7, BACKUP: 7, VALUE: 17, LINEAR: 10, CYCLIC: 10, TRANSACTION: 22}[kind]
        if len(body) != length:
            raise Status(LENGTH)
        number, files = body[0], self._application.files
        if number in files:
            raise Status(DUPLICATE)
        if number >= FILES_MAX or (kind == TRANSACTION and self._has_transaction_file()):
            raise Status(PARAMETER)
        file = File(kind, body[1], [body[2:4]])
        _FILL[kind](file, body[4:])
        files[number] = file
        return b""

    def _has_transaction_file(self) -> bool:
        return any(file.kind == TRANSACTION for file in self._application.files.values())

    def _delete_file(self, body: bytes) -> bytes:
        self._require_master()
        if len(body) != 1 or self._application.files.pop(body[0], None) is None:
            raise Status(NOT_FOUND)
        return b""

    def _file_ids(self, _body: bytes) -> bytes:
        self._require_listing()
        return bytes(sorted(self._application.files))

    def _require_listing(self) -> None:
        if not self._application.settings & FREE_LISTING:
            self._require_master()

    def _file_settings(self, body: bytes) -> bytes:
        self._require_listing()
        file = self._application.files.get(body[0] if len(body) == 1 else -1)
        if file is None:
            raise Status(NOT_FOUND)
        first, *more = file.rights
        option = file.option & 0x03 | (ADDITIONAL if more else 0)
        data = bytes((file.kind, option)) + first + _particulars(file)
        return data + (bytes((len(more),)) + b"".join(more) if more else b"")

    def _change_file_settings(self, body: bytes) -> bytes:
        file, option, rights = self._application.files[body[0]], body[1:2], body[2:]
        sets = [rights[:2]]
        if option and option[0] & ADDITIONAL:
            if self._is_old() or len(rights) < 3 or not 1 <= rights[2] <= 7:
                raise Status(PARAMETER)
            sets += [rights[at : at + 2] for at in range(3, len(rights), 2)]
            if len(sets) != 1 + rights[2]:
                raise Status(LENGTH)
        elif len(rights) != 2:
            raise Status(LENGTH)
        if not option or any(len(each) != 2 for each in sets):
            raise Status(LENGTH)
        file.option, file.rights = option[0], sets
        return b""

    # Keys.

    def _key_settings(self, _body: bytes) -> bytes:
        running = self._application.running
        kind = 0 if running.triple_des else AES_KEYS
        return bytes((self._application.settings, kind | len(running.keys)))

    def _change_key_settings(self, body: bytes) -> bytes:
        self._require_master()
        if len(body) != 1:
            raise Status(LENGTH)
        if not self._application.settings & SETTINGS_CHANGE:
            raise Status(PERMISSION)
        self._application.settings = body[0]
        return b""

    def _change_key(self, body: bytes) -> bytes:
        number = body[0] & 0x3F if body else 0xFF
        if self._selected == PICC and body[0] & KEY_KIND != AES_KEYS:
            raise Status(PARAMETER)  # the card's own key would become triple DES
        self._change(self._application.running, number, body[1:], own=number == self._key)
        return b""

    def _change_key_of_set(self, body: bytes) -> bytes:
        at = body[0] if body else 0xFF
        number = body[1] if len(body) > 1 else 0xFF
        chosen = self._set(at)
        if chosen.final and at:
            raise Status(PERMISSION)
        self._change(chosen, number, body[2:], own=at == 0 and number == self._key)
        return b""

    def _change(self, keys: KeySet, number: int, data: bytes, *, own: bool) -> None:
        if number >= len(keys.keys):
            raise Status(NO_SUCH_KEY)
        settings = self._application.settings
        changer = settings >> 4 if number else MASTER
        if changer == CHANGED_BY_ITSELF:
            changer = number
        if changer == FROZEN or self._key != changer:
            raise Status(PERMISSION)
        if not number and not settings & MASTER_CHANGES:
            raise Status(PERMISSION)
        if len(data) != (17 if own else 21):
            raise Status(LENGTH)
        new = data[:16] if own else xor(data[:16], keys.keys[number])
        if not own and data[17:] != crc32(new):
            raise Status(INTEGRITY)
        keys.keys[number], keys.versions[number], keys.triple_des = new, data[16], False

    def _set(self, at: int) -> KeySet:
        sets = self._application.key_sets
        chosen = sets[at] if at < len(sets) else None
        if chosen is None:
            raise Status(NO_SUCH_KEY)
        return chosen

    def _initialize_key_set(self, body: bytes) -> bytes:
        self._require_master()
        sets = self._application.key_sets
        if len(body) != 2 or body[1] != 0x02 or not 1 <= body[0] < len(sets):
            raise Status(PARAMETER)
        sets[body[0]] = KeySet.new(len(self._application.running.keys))
        return b""

    def _finalize_key_set(self, body: bytes) -> bytes:
        self._require_master()
        if len(body) != 2 or not body[0]:
            raise Status(PARAMETER)
        chosen = self._set(body[0])
        chosen.version, chosen.final = body[1], True
        return b""

    def _roll_key_set(self, body: bytes) -> bytes:
        if self._key != self._application.roll_key:
            raise Status(PERMISSION)
        if len(body) != 1 or not body[0] or not self._set(body[0]).final:
            raise Status(PARAMETER)
        # The old keys are gone with it: a card never rolls back to a lost key.
        sets = self._application.key_sets
        sets[0], sets[body[0]] = self._set(body[0]), None
        return b""


def _fill_data(file: File, body: bytes) -> None:
    file.data = bytes(_number(body))


def _fill_value(file: File, body: bytes) -> None:
    signed = [int.from_bytes(body[at : at + 4], "little", signed=True) for at in (0, 4, 8)]
    file.lower, file.upper, file.value = signed
    file.limited = bool(body[12] & 1)
    if not file.lower <= file.value <= file.upper:
        raise Status(BOUNDARY)


def _fill_records(file: File, body: bytes) -> None:
    file.size, file.most = _number(body[:3]), _number(body[3:])
    if not file.size or file.most < (2 if file.kind == CYCLIC else 1):
        raise Status(PARAMETER)


def _fill_transaction(file: File, body: bytes) -> None:
    if body[0] != 0x02:
        raise Status(PARAMETER)
    file.key, file.key_version, file.data = body[1:17], body[17], bytes(16)


_FILL = {
    STANDARD: _fill_data,
    BACKUP: _fill_data,
    VALUE: _fill_value,
    LINEAR: _fill_records,
    CYCLIC: _fill_records,
    TRANSACTION: _fill_transaction,
}


def _particulars(file: File) -> bytes:
    if file.kind in (STANDARD, BACKUP):
        return _three(len(file.data))
    if file.kind == VALUE:
        values = (file.lower, file.upper, file.limit)
        signed = b"".join(value.to_bytes(4, "little", signed=True) for value in values)
        return signed + bytes((file.limited,))
    if file.kind == TRANSACTION:
        return bytes((0x02, file.key_version))
    return _three(file.size) + _three(file.most) + _three(len(file.records))


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
