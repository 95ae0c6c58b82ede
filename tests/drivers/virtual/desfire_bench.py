"""A DESFire application with a file of each kind, for tests of the commands themselves."""

from __future__ import annotations

import os

from drivers.desfire.session import PICC, Session, authenticate, authenticate_ev1, select
from drivers.desfire.settings import (
    FREE,
    ApplicationSettings,
    Content,
    DataFile,
    FileSettings,
    RecordFile,
    Rights,
    ValueFile,
)
from drivers.secure_channel.channel import CommunicationMode
from tests.drivers.desfire_world import TRANSPORT_KEY, blank_desfire
from tests.drivers.world import DirectReader, do

AID = bytes.fromhex("112233")
STANDARD, BACKUP, VALUE, LINEAR, CYCLIC, OPEN = range(1, 7)
# Key numbers: 0 the master, then one that may only do what it is named for, and one without rights.
READER, WRITER, BOTH, CHANGER, STRANGER = 1, 2, 3, 4, 5
ROLES = Rights(read=READER, write=WRITER, both=BOTH, change=CHANGER)
SIZE = 100
CONTENTS: dict[int, Content] = {
    STANDARD: DataFile(SIZE),
    BACKUP: DataFile(SIZE, backup=True),
    VALUE: ValueFile(-10, 1_000, 500, limited_credit=True),
    LINEAR: RecordFile(8, 3, cyclic=False),
    CYCLIC: RecordFile(8, 3),
}


def key(number: int) -> bytes:
    """The key of that number."""
    return bytes((number + 1,)) * 16


def files(mode: CommunicationMode) -> dict[int, FileSettings]:
    """A file of each kind, and one that everybody reads."""
    made = {number: FileSettings(mode, (ROLES,), each) for number, each in CONTENTS.items()}
    return {**made, OPEN: FileSettings(mode, (Rights(read=FREE, write=WRITER),), DataFile(SIZE))}


def bench(mode: CommunicationMode = CommunicationMode.FULL) -> DirectReader:
    """A reader with a card that has the application."""
    reader = DirectReader(blank_desfire())
    assert do(select(PICC), reader)
    card = do(authenticate(TRANSPORT_KEY, 0, os.urandom(16)), reader)
    do(card.create_application(AID, ApplicationSettings(6, 0x0B, 3, 0)), reader)
    assert do(select(AID), reader)
    session = do(authenticate(bytes(16), 0, os.urandom(16)), reader)
    for number, settings in files(mode).items():
        do(session.create_file(number, settings), reader)
    for number in range(1, 6):
        do(session.change_key(number, key(number), 1, bytes(16)), reader)
    do(session.change_key(0, key(0), 1), reader)
    return reader


def enter(reader: DirectReader, number: int, *, old: bool = False) -> Session:
    """Select and authenticate; ``old`` by the way of EV1."""
    assert do(select(AID), reader)
    way = authenticate_ev1 if old else authenticate
    return do(way(key(number), number, os.urandom(16)), reader)
