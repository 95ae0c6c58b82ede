"""An authenticated DESFire application: every command of it, as steps without I/O.

Sources: AN12196 and AN12343 for the messaging; command layouts as public implementations have them.
Never run against a card here: the layouts of key sets and additional rights are unproven, and so is
the whole change of a card's own key from triple DES to AES. Its parts are in published traces.
"""

from __future__ import annotations

from drivers.apdu import Steps
from drivers.desfire.frames import (
    AUTHENTICATION_ERROR,
    ILLEGAL_COMMAND,
    MORE,
    NO_SUCH_KEY,
    OK,
    exchange,
    frame,
    plain,
    status_refused,
)
from drivers.desfire.settings import (
    UID_BYTES,
    ApplicationSettings,
    FileSettings,
    TransactionMacFile,
    Version,
    decode_value,
    encode_value,
)
from drivers.errors import CardRefused
from drivers.secure_channel import ev1, ev2
from drivers.secure_channel.channel import Channel, CommunicationMode
from protocol import transaction_mac

PICC = bytes(3)  # the card itself, where an application's id is asked for
KEY_SET = 0x40  # bit of a key number: the key set follows
AES_KEY = 0x80  # bit of a key number that is changed on the card itself: it is an AES key

MAC, FULL = CommunicationMode.MAC, CommunicationMode.FULL


class WrongKey(CardRefused):
    """The card has another key in this place, or no such place; nothing else happened."""


class Unsupported(CardRefused):
    """The card is older than this way of authentication."""


def select(application: bytes) -> Steps[bool]:
    """Select by id (3 bytes as on the wire); whether the card has it and speaks DESFire at all."""
    try:
        _, status = yield from exchange(0x5A, application)
    except CardRefused:
        return False
    return status == OK


def get_version() -> Steps[Version]:
    """GetVersion outside a session."""
    return Version.parse((yield from plain(0x60, step="tell its version")))


def key_version(number: int) -> Steps[int]:
    """GetKeyVersion outside a session: 0 for a key that was never changed by us."""
    data = yield from plain(0x64, bytes((number,)), step="tell a key's version")
    return data[0] if data else 0


def authenticate(
    key: bytes, number: int, rnd_a: bytes, running: Session | None = None
) -> Steps[Session]:
    """AuthenticateEV2First, or NonFirst in a ``running`` session (the transaction goes on).

    WrongKey, Unsupported on EV1, CardForged when the card cannot have the key. ``rnd_a`` is 16
    fresh random bytes.
    """
    if running is None:
        challenge = yield from _challenge(ev2.FIRST, ev2.first_request(number))
    else:
        challenge = yield from _challenge(ev2.NON_FIRST, ev2.non_first_request(number))
    half = ev2.ReaderAuthentication(key, challenge, rnd_a)
    answer = yield from _answer(half.token)
    if running is None:
        return Session(half.first(answer)[0], number)
    if not isinstance(running.channel, ev2.Session):
        raise TypeError("only an EV2 session goes on")
    channel = half.non_first(answer, running.channel)
    return Session(channel, number, running.transaction_input)


def authenticate_ev1(key: bytes, number: int, rnd_a: bytes) -> Steps[Session]:
    """AuthenticateAES of EV1, for old cards; WrongKey, CardForged."""
    return _authenticate_old(ev1.AES_AUTHENTICATION, key, number, rnd_a)


def authenticate_iso(key: bytes, number: int, rnd_a: bytes) -> Steps[Session]:
    """AuthenticateISO: a key of triple DES (16 bytes; of equal halves it is single DES).

    WrongKey, CardForged. ``rnd_a`` is 8 fresh random bytes.
    """
    return _authenticate_old(ev1.ISO, key, number, rnd_a)


def _authenticate_old(ins: int, key: bytes, number: int, rnd_a: bytes) -> Steps[Session]:
    challenge = yield from _challenge(ins, bytes((number,)))
    half = ev1.ReaderAuthentication(ins, key, challenge, rnd_a)
    answer = yield from _answer(half.token)
    return Session(ev1.Session(ins, half.session_key(answer)), number)


def _challenge(ins: int, request: bytes) -> Steps[bytes]:
    data, status = yield from frame(ins, request)
    if status == ILLEGAL_COMMAND:
        raise Unsupported(0x9100 | status, "EV2 authentication")
    if status in (AUTHENTICATION_ERROR, NO_SUCH_KEY):
        raise WrongKey(0x9100 | status, "authenticate")
    if status != MORE:
        raise status_refused(status, "begin an authentication")
    return data


def _answer(token: bytes) -> Steps[bytes]:
    data, status = yield from frame(MORE, token)
    if status == AUTHENTICATION_ERROR:
        raise WrongKey(0x9100 | status, "authenticate")
    if status != OK:
        raise status_refused(status, "authenticate")
    return data


class Session:
    """Commands under one authenticated key; any error ends it: authenticate again.

    ``transaction_input`` collects what the card will put under its transaction MAC.
    """

    def __init__(self, channel: Channel, key_number: int, transaction_input: bytes = b"") -> None:
        self.channel, self.key_number = channel, key_number
        self.transaction_input = transaction_input

    def command(
        self,
        ins: int,
        header: bytes = b"",
        data: bytes = b"",
        *,
        step: str,
        mode: CommunicationMode = MAC,
        length: int | None = None,
    ) -> Steps[bytes]:
        """Send any command; ``length`` of the answer where it is known."""
        payload = self.channel.reader_wrap(ins, header, data, mode=mode)
        answer, status = yield from exchange(ins, payload)
        if status != OK:
            raise status_refused(status, step)
        return self.channel.reader_unwrap(answer, mode=mode, length=length)

    # Data and records. Modes are the file's; offsets and lengths are bytes, or records.

    def read_data(
        self, file: int, offset: int, length: int, mode: CommunicationMode = MAC
    ) -> Steps[bytes]:
        """ReadData of a whole range; ``length`` is at least 1."""
        header = bytes((file,)) + _range(offset, length)
        data = yield from self.command(0xBD, header, step="read", mode=mode, length=length)
        self.transaction_input += transaction_mac.data_input(0xBD, header, data)
        return data

    def read_transaction_mac(self, file: int, mode: CommunicationMode = MAC) -> Steps[bytes]:
        """Counter (4, least significant byte first) and MAC (8) of the last commit."""
        header = bytes((file,)) + _range(0, 12)
        return self.command(0xBD, header, step="read its last MAC", mode=mode, length=12)

    def write_data(
        self, file: int, offset: int, data: bytes, mode: CommunicationMode = MAC
    ) -> Steps[None]:
        """WriteData: at once in a standard file, at commit in a backup file."""
        yield from self._write(0x3D, file, offset, data, mode)

    def read_records(
        self, file: int, count: int, size: int, mode: CommunicationMode = MAC
    ) -> Steps[tuple[bytes, ...]]:
        """ReadRecords: the newest ``count`` of ``size`` bytes, the oldest of them first."""
        header = bytes((file,)) + _range(0, count)
        data = yield from self.command(
            0xBB, header, step="read records", mode=mode, length=count * size
        )
        self.transaction_input += transaction_mac.data_input(0xBB, header, data)
        return tuple(data[at : at + size] for at in range(0, len(data), size))

    def write_record(self, file: int, record: bytes, mode: CommunicationMode = MAC) -> Steps[None]:
        """WriteRecord of a whole new record, at commit."""
        yield from self._write(0x3B, file, 0, record, mode)

    def _write(
        self, ins: int, file: int, offset: int, data: bytes, mode: CommunicationMode
    ) -> Steps[None]:
        header = bytes((file,)) + _range(offset, len(data))
        yield from self.command(ins, header, data, step="write", mode=mode, length=0)
        self.transaction_input += transaction_mac.data_input(ins, header, data)

    # Value files: minor units.

    def get_value(self, file: int, mode: CommunicationMode = MAC) -> Steps[int]:
        """GetValue: what was committed last."""
        data = yield from self.command(
            0x6C, bytes((file,)), step="tell its value", mode=mode, length=4
        )
        self.transaction_input += transaction_mac.value_input(0x6C, file, data)
        return decode_value(data)

    def debit(self, file: int, amount: int, mode: CommunicationMode = MAC) -> Steps[None]:
        """Debit, at commit; CardRefused below the file's lower limit."""
        yield from self._change_value(0xDC, file, amount, mode)

    def credit(self, file: int, amount: int, mode: CommunicationMode = MAC) -> Steps[None]:
        """Credit, at commit; CardRefused above the file's upper limit."""
        yield from self._change_value(0x0C, file, amount, mode)

    def limited_credit(self, file: int, amount: int, mode: CommunicationMode = MAC) -> Steps[None]:
        """LimitedCredit, at commit: at most what the last transaction debited."""
        yield from self._change_value(0x1C, file, amount, mode)

    def _change_value(
        self, ins: int, file: int, amount: int, mode: CommunicationMode
    ) -> Steps[None]:
        data = encode_value(amount)
        yield from self.command(
            ins, bytes((file,)), data, step="change its value", mode=mode, length=0
        )
        self.transaction_input += transaction_mac.value_input(ins, file, data)

    # Transactions.

    def commit_reader_id(self, reader_id: bytes) -> Steps[bytes]:
        """CommitReaderID (16 bytes); the id of the reader before, enciphered for the cloud."""
        previous = yield from self.command(0xC8, b"", reader_id, step="take our id", length=16)
        self.transaction_input += transaction_mac.reader_input(reader_id, previous)
        return previous

    def commit(self) -> Steps[None]:
        """CommitTransaction without proof."""
        yield from self.command(0xC7, step="commit", length=0)
        self.transaction_input = b""

    def commit_with_mac(self) -> Steps[bytes]:
        """CommitTransaction; counter (4, least significant byte first) and MAC (8).

        ``transaction_input`` is then what the MAC stands over; a next transaction needs a new
        authentication or ``abort``.
        """
        return self.command(0xC7, b"\x01", step="commit", length=12)

    def abort(self) -> Steps[None]:
        """AbortTransaction: nothing since the last commit happened."""
        yield from self.command(0xA7, step="abort", length=0)
        self.transaction_input = b""

    # Keys.

    def change_key(
        self, number: int, new: bytes, version: int, old: bytes | None = None
    ) -> Steps[None]:
        """ChangeKey, to AES. Without ``old`` it is our own key: the session ends."""
        header = bytes((number,))
        if isinstance(self.channel, ev1.Session):
            payload = self.channel.wrap_new_key(0xC4, header, new, version, old)
        else:
            data = ev2.new_key_data(new, version, old)
            payload = self.channel.reader_wrap(0xC4, header, data, mode=FULL)
        yield from self._change_key(0xC4, payload, own=old is None)

    def change_key_of_set(
        self, key_set: int, number: int, new: bytes, version: int, old: bytes
    ) -> Steps[None]:
        """ChangeKeyEV2 in a key set that is not the running one."""
        header, data = bytes((key_set, number)), ev2.new_key_data(new, version, old)
        payload = self.channel.reader_wrap(0xC6, header, data, mode=FULL)
        yield from self._change_key(0xC6, payload, own=False)

    def _change_key(self, ins: int, payload: bytes, *, own: bool) -> Steps[None]:
        answer, status = yield from exchange(ins, payload)
        if status != OK:
            raise status_refused(status, "change a key")
        if not own:
            self.channel.reader_unwrap(answer, mode=MAC, length=0)

    def get_key_version(self, number: int, key_set: int | None = None) -> Steps[int]:
        """GetKeyVersion, of the running key set or another."""
        header = bytes((number,)) if key_set is None else bytes((number | KEY_SET, key_set))
        data = yield from self.command(0x64, header, step="tell a key's version", length=1)
        return data[0]

    def initialize_key_set(self, key_set: int) -> Steps[None]:
        """InitializeKeySet: AES keys of zeros, not in use."""
        yield from self.command(0x56, bytes((key_set, 0x02)), step="begin a key set", length=0)

    def finalize_key_set(self, key_set: int, version: int) -> Steps[None]:
        """FinalizeKeySet: it may be rolled to."""
        yield from self.command(0x57, bytes((key_set, version)), step="end a key set", length=0)

    def roll_key_set(self, key_set: int) -> Steps[None]:
        """RollKeySet: this set is the running one now, and the session is over."""
        payload = self.channel.reader_wrap(0x55, bytes((key_set,)), mode=MAC)
        yield from plain(0x55, payload, step="roll its keys")

    # Settings, files, applications.

    def key_settings(self) -> Steps[bytes]:
        """GetKeySettings: settings and number of keys (and more on EV2)."""
        return self.command(0x45, step="tell its key settings")

    def change_key_settings(self, settings: int) -> Steps[None]:
        """ChangeKeySettings of the application, or of the card."""
        data = bytes((settings,))
        yield from self.command(0x54, b"", data, step="change settings", mode=FULL, length=0)

    def uid(self) -> Steps[bytes]:
        """GetCardUID: the true one, also of a card that shows a random one."""
        return self.command(0x51, step="tell its UID", mode=FULL, length=UID_BYTES)

    def file_ids(self) -> Steps[bytes]:
        """GetFileIDs: one byte for each file."""
        return self.command(0x6F, step="list its files")

    def file_settings(self, file: int) -> Steps[FileSettings]:
        """GetFileSettings."""
        data = yield from self.command(0xF5, bytes((file,)), step="tell file settings")
        return FileSettings.parse(data)

    def change_file_settings(self, file: int, settings: FileSettings) -> Steps[None]:
        """ChangeFileSettings: mode and rights; the content stays."""
        data = settings.to_change()
        yield from self.command(
            0x5F, bytes((file,)), data, step="change file settings", mode=FULL, length=0
        )

    def create_file(self, number: int, settings: FileSettings) -> Steps[None]:
        """Make a data, value or record file."""
        header = settings.to_create(number)
        yield from self.command(settings.content.create, header, step="make a file", length=0)

    def create_transaction_mac_file(
        self, number: int, settings: FileSettings, key: bytes, version: int
    ) -> Steps[None]:
        """CreateTransactionMACFile: from now on each commit counts and is proved under ``key``."""
        header, data = settings.to_create(number), key + bytes((version,))
        ins = TransactionMacFile.create
        yield from self.command(ins, header, data, step="make its MAC file", mode=FULL, length=0)

    def create_application(self, application: bytes, settings: ApplicationSettings) -> Steps[None]:
        """CreateApplication, at the card."""
        header = application + settings.encode()
        yield from self.command(0xCA, header, step="make an application", length=0)

    def delete_application(self, application: bytes) -> Steps[None]:
        """DeleteApplication, at the card."""
        yield from self.command(0xDA, application, step="delete an application", length=0)

    def application_ids(self) -> Steps[tuple[bytes, ...]]:
        """GetApplicationIDs, at the card."""
        data = yield from self.command(0x6A, step="list its applications")
        return tuple(data[at : at + 3] for at in range(0, len(data), 3))

    def format(self) -> Steps[None]:
        """FormatPICC, at the card: every application and file is gone."""
        yield from self.command(0xFC, step="format", length=0)


def _range(offset: int, length: int) -> bytes:
    return offset.to_bytes(3, "little") + length.to_bytes(3, "little")
