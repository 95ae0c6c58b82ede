"""Files of one application on a software DESFire: what a transaction changes, and its MAC.

Rights and messaging are checked before; here are limits, and that nothing is real before commit.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from drivers.virtual.cards.desfire_state import (
    BACKUP,
    CYCLIC,
    LINEAR,
    STANDARD,
    TRANSACTION,
    VALUE,
    Application,
    File,
)
from protocol import transaction_mac

PARAMETER, BOUNDARY, PERMISSION, NOT_FOUND, LENGTH = 0x9E, 0xBE, 0x9D, 0xF0, 0x7E
NO_CHANGES = 0x0C
READ, WRITE, READ_RECORDS, WRITE_RECORD = 0xBD, 0x3D, 0xBB, 0x3B
GET_VALUE, CREDIT, DEBIT, LIMITED_CREDIT = 0x6C, 0x0C, 0xDC, 0x1C
NEVER = 0xF


class Status(Exception):
    """A command ends with this second status byte; never leaves the card."""

    def __init__(self, status: int) -> None:
        super().__init__(f"91{status:02X}")
        self.status = status


class Transaction:
    """What was asked of an application's files since it was selected or committed last."""

    def __init__(self, application: Application, uid: bytes) -> None:
        self._application, self._uid = application, uid
        self.commands: dict[int, Callable[[bytes], bytes]] = {
            READ: self._read,
            WRITE: self._write,
            READ_RECORDS: self._read_records,
            WRITE_RECORD: self._write_record,
            GET_VALUE: self._get_value,
            CREDIT: self._change_value,
            DEBIT: self._change_value,
            LIMITED_CREDIT: self._change_value,
        }
        self.abort()

    def abort(self) -> None:
        """Forget what is not committed."""
        self._pending: dict[int, File] = {}
        self._debited: dict[int, int] = {}
        self._input = b""
        self._reader_id: bytes | None = None

    def run(self, ins: int, body: bytes) -> bytes:
        """Run one command on a file: header and plain data in, plain data out.  Raises Status."""
        if not body:  # not even a file's number, though the MAC may have passed for one
            raise Status(LENGTH)
        self._ins = ins
        return self.commands[ins](body)

    def _file(self, number: int, *kinds: int) -> File:
        """The file as the last commit left it."""
        file = self._application.files.get(number)
        if file is None:
            raise Status(NOT_FOUND)
        if file.kind not in kinds:
            raise Status(PARAMETER)
        return file

    def _changed(self, number: int, *kinds: int) -> File:
        """The same as this transaction sees it."""
        committed = self._file(number, *kinds)
        return self._pending.setdefault(number, deepcopy(committed))

    def _read(self, body: bytes) -> bytes:
        file = self._file(body[0], STANDARD, BACKUP, TRANSACTION)
        data = file.data
        if file.kind == TRANSACTION:
            data = file.counter.to_bytes(4, "little") + file.mac
        offset, length = _range(body)
        answer = data[offset : offset + length] if length else data[offset:]
        if not answer or len(answer) < length:
            raise Status(BOUNDARY)
        if file.kind != TRANSACTION:
            self._input += transaction_mac.data_input(self._ins, body, answer)
        return answer

    def _write(self, body: bytes) -> bytes:
        number, data = body[0], body[7:]
        offset, length = _range(body)
        kind = self._file(number, STANDARD, BACKUP).kind
        file = self._changed(number, BACKUP) if kind == BACKUP else self._file(number, STANDARD)
        if length != len(data) or not data:
            raise Status(LENGTH)
        if offset + length > len(file.data):
            raise Status(BOUNDARY)
        file.data = file.data[:offset] + data + file.data[offset + length :]
        self._input += transaction_mac.data_input(self._ins, body[:7], data)
        return b""

    def _read_records(self, body: bytes) -> bytes:
        file = self._file(body[0], LINEAR, CYCLIC)
        offset, count = _range(body)
        end = len(file.records) - offset
        start = end - (count or end)
        if end <= 0 or start < 0:
            raise Status(BOUNDARY)
        answer = b"".join(file.records[start:end])
        self._input += transaction_mac.data_input(self._ins, body, answer)
        return answer

    def _write_record(self, body: bytes) -> bytes:
        committed = self._file(body[0], LINEAR, CYCLIC)
        file, data = self._changed(body[0], LINEAR, CYCLIC), body[7:]
        offset, length = _range(body)
        if length != len(data) or not data:
            raise Status(LENGTH)
        full = file.kind == LINEAR and len(committed.records) == file.most
        if full or offset + length > file.size:
            raise Status(BOUNDARY)
        if len(file.records) == len(committed.records):  # a transaction makes one new record
            file.records.append(bytes(file.size))
        record = file.records[-1]
        file.records[-1] = record[:offset] + data + record[offset + length :]
        self._input += transaction_mac.data_input(self._ins, body[:7], data)
        return b""

    def _get_value(self, body: bytes) -> bytes:
        answer = self._file(body[0], VALUE).value.to_bytes(4, "little", signed=True)
        self._input += transaction_mac.value_input(self._ins, body[0], answer)
        return answer

    def _change_value(self, body: bytes) -> bytes:
        number, amount = body[0], int.from_bytes(body[1:], "little", signed=True)
        file = self._changed(number, VALUE)
        if len(body) != 5:
            raise Status(LENGTH)
        if amount < 0:
            raise Status(PARAMETER)
        if self._ins == LIMITED_CREDIT:
            if not file.limited:
                raise Status(PERMISSION)
            if amount > file.limit:
                raise Status(BOUNDARY)
            file.limit = 0
        value = file.value - amount if self._ins == DEBIT else file.value + amount
        if not file.lower <= value <= file.upper:
            raise Status(BOUNDARY)
        file.value = value
        if self._ins == DEBIT:
            self._debited[number] = self._debited.get(number, 0) + amount
            file.limit = self._debited[number]
        self._input += transaction_mac.value_input(self._ins, number, body[1:])
        return b""

    def commit_reader_id(self, reader_id: bytes) -> bytes:
        """CommitReaderID: the id of the reader before, enciphered.  Raises Status."""
        file = self.transaction_file()
        if file is None or self._reader_id is not None:
            raise Status(PERMISSION)
        if len(reader_id) != transaction_mac.READER_ID_BYTES:
            raise Status(LENGTH)
        answer = transaction_mac.encrypt_reader_id(self._keys(file), file.data)
        self._reader_id = reader_id
        self._input += transaction_mac.reader_input(reader_id, answer)
        return answer

    def commit(self, option: bytes) -> bytes:
        """CommitTransaction: all of it at once; counter and MAC when asked.  Raises Status."""
        file = self.transaction_file()
        if option not in (b"", b"\x00", b"\x01") or (option == b"\x01" and file is None):
            raise Status(PARAMETER)
        if not self._pending:
            raise Status(NO_CHANGES)
        if file is not None:
            self._prove(file)
        for pending in self._pending.values():
            if pending.kind == CYCLIC:
                pending.records = pending.records[-(pending.most - 1) :]
        self._application.files.update(self._pending)
        self.abort()
        if option != b"\x01" or file is None:
            return b""
        return file.counter.to_bytes(4, "little") + file.mac

    def transaction_file(self) -> File | None:
        """The application's transaction MAC file, when it has one."""
        files = self._application.files.values()
        return next((file for file in files if file.kind == TRANSACTION), None)

    def _prove(self, file: File) -> None:
        """Count and MAC this transaction; one that needs the reader's id is refused without."""
        needs_id = any(rights[0] >> 4 != NEVER for rights in file.rights)
        if needs_id and self._reader_id is None:
            raise Status(PERMISSION)
        file.mac = transaction_mac.transaction_mac(self._keys(file), self._input)
        file.counter += 1
        file.data = self._reader_id or file.data

    def _keys(self, file: File) -> transaction_mac.TransactionKeys:
        return transaction_mac.session_keys(file.key, file.counter + 1, self._uid)


def _range(body: bytes) -> tuple[int, int]:
    """Offset and length behind the file number."""
    if len(body) < 7:
        raise Status(LENGTH)
    return int.from_bytes(body[1:4], "little"), int.from_bytes(body[4:7], "little")
