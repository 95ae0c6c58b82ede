"""What a disk may hold after a power cut, enumerated from the system calls that a program made.

A write is pending until its file is synced. At any moment the disk holds everything synced, and of
the pending writes any part: none, all, some, or some of their 512-byte sectors. Renames and folder
metadata are not modelled, and a sync of one file says nothing about another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

SECTOR = 512  # what a disk writes whole or not at all


class Write(NamedTuple):
    """``data`` at ``offset`` of ``file``."""

    file: str
    offset: int
    data: bytes


class Resize(NamedTuple):
    """``file`` now has ``size`` bytes."""

    file: str
    size: int


class Sync(NamedTuple):
    """Everything written to ``file`` is on disk."""

    file: str


class Gone(NamedTuple):
    """``file`` was deleted."""

    file: str


class Acknowledged(NamedTuple):
    """The program said that number ``upto`` is safe."""

    upto: int


Operation = Write | Resize | Sync | Gone | Acknowledged


class Cut(NamedTuple):
    """A disk after a cut: files by name, and what the program had promised by then."""

    files: dict[str, bytes]
    promised: int


_CALL = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)\)\s+= (-?\d+)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
# -shm is shared memory in a file: SQLite makes it anew and never syncs it.
_UNTRACKED = ("-shm",)


def read_log(log: str, folder: str) -> Iterator[Operation]:
    """Yield the operations on files below ``folder`` in a log of ``strace -xx``.

    A line ``ACK n`` that the program writes to its standard output is the promise.
    """
    open_files: dict[int, str] = {}
    for line in log.splitlines():
        match = _CALL.match(line)
        if match is None or int(match[3]) < 0:
            continue
        name, arguments, result = match[1], match[2], int(match[3])
        text = _TEXT.search(arguments)
        data = bytes.fromhex(text[1].replace("\\x", "")) if text else b""
        if name == "openat":
            path = data.decode()
            if path.startswith(folder) and not path.endswith(_UNTRACKED):
                open_files[result] = path.rsplit("/", 1)[1]
            else:
                open_files.pop(result, None)
        elif name == "unlink":
            if data.decode().startswith(folder):
                yield Gone(data.decode().rsplit("/", 1)[1])
        else:
            yield from _on_descriptor(name, arguments, data, open_files)


def _on_descriptor(
    name: str, arguments: str, data: bytes, open_files: dict[int, str]
) -> Iterator[Operation]:
    numbers = re.findall(r"(?:^|, )(\d+)(?=,|$)", arguments)
    descriptor = int(numbers[0])
    if name == "write" and descriptor == 1 and data.startswith(b"ACK "):
        yield Acknowledged(int(data.split()[1]))
    file = open_files.get(descriptor)
    if file is None:
        return
    if name == "pwrite64":
        yield Write(file, int(numbers[-1]), data)
    elif name == "ftruncate":
        yield Resize(file, int(numbers[-1]))
    elif name in ("fsync", "fdatasync"):
        yield Sync(file)
    elif name == "close":
        del open_files[descriptor]


def cuts(operations: Iterator[Operation], random: Random) -> Iterator[Cut]:
    """Yield four disks after every operation: nothing, all, some, and torn parts of what pends."""
    durable: dict[str, bytearray] = {}
    pending: list[Write | Resize] = []
    promised = 0
    for operation in operations:
        if isinstance(operation, Acknowledged):
            promised = max(promised, operation.upto)
        elif isinstance(operation, Gone):
            durable.pop(operation.file, None)
            pending = [each for each in pending if each.file != operation.file]
        elif isinstance(operation, Sync):
            _apply(durable, [each for each in pending if each.file == operation.file])
            pending = [each for each in pending if each.file != operation.file]
        else:
            pending.append(operation)
        for part in (
            [],
            pending,
            [each for each in pending if random.random() < 0.5],
            [torn for each in pending for torn in _torn(each, random)],
        ):
            files = {name: bytearray(data) for name, data in durable.items()}
            _apply(files, part)
            yield Cut({name: bytes(data) for name, data in files.items()}, promised)


def _apply(files: dict[str, bytearray], changes: list[Write | Resize]) -> None:
    for change in changes:
        file = files.setdefault(change.file, bytearray())
        if isinstance(change, Resize):
            del file[change.size :]
            file.extend(bytes(change.size - len(file)))
        else:
            end = change.offset + len(change.data)
            file.extend(bytes(max(0, end - len(file))))
            file[change.offset : end] = change.data


def _torn(change: Write | Resize, random: Random) -> Iterator[Write | Resize]:
    if isinstance(change, Resize):
        yield change
        return
    start = 0
    while start < len(change.data):
        # Sectors lie on the disk's own grid, whatever the offset of the write.
        stop = start + SECTOR - (change.offset + start) % SECTOR
        if random.random() < 0.5:
            yield Write(change.file, change.offset + start, change.data[start:stop])
        start = stop
