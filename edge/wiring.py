"""Puts the terminal together: the one place that knows all parts, the clocks and the randomness."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING

from cryptography import x509

import drivers.readers
from drivers.card import NONCE_BYTES, CardTrust, CodeTrust
from drivers.errors import PrinterRefused
from drivers.identify import Examiner, card_kinds
from drivers.print_supervisor import PrintSupervisor
from drivers.printers.carrier import check_path
from drivers.reader import ReaderKind, ReaderSettings
from drivers.supervise import Supervisor
from edge.agent import Agent, Parts
from edge.board import Board, Devices, Identity, Sources, last_words
from edge.books import Books
from edge.cache import Cache
from edge.clock import Clock
from edge.commands import Commands
from edge.config import PrinterConfig, ReaderConfig, Settings
from edge.errors import BadConfig, InUse
from edge.health import Notifier
from edge.inbox import Inbox, Trust
from edge.journal import Journal
from edge.keys import Keys, load_keys
from edge.kiosk import texts
from edge.link import LinkSettings, MqttLink, World
from edge.pending import Place
from edge.print_queue import PrintQueue
from edge.reader_events import ReaderEvents
from edge.receipt import Wording
from edge.receipts import Habits, Receipts
from edge.relay import Relay
from protocol import watermark
from protocol.errors import ProtocolError
from protocol.plugins import discover
from protocol.qr_credential import Shown, Verified
from protocol.watermark import Standing, Watermark

if TYPE_CHECKING:
    import uvicorn

JOURNAL = "journal.db"
CACHE = "cache.db"
RECEIPTS = "receipts.db"
_LOCK = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# systemd-timesyncd makes it once it has set the clock.
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_DAY_MS = 86_400_000
_SESSION_BYTES = 8
# The page asks for no token: nobody but this machine may reach it.
_HTTP_HOST = "127.0.0.1"
# How long open pages and tills may take to end when the agent stops.
_HTTP_STOP_S = 3
_HTTP_START_S = 10


def system_clock() -> Clock:
    """The clocks of this machine."""
    boot = bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))[:8]
    return Clock(time.time, time.monotonic, _SYNCHRONISED.exists, boot)


def _readers(settings: Settings) -> dict[str, ReaderConfig]:
    """The readers by their table in the configuration."""
    second = settings.config.scanner
    return {"reader": settings.config.reader, **({"scanner": second} if second else {})}


def _reader_kind(settings: Settings, table: str, reader: ReaderConfig) -> ReaderKind:
    kinds = discover(drivers.readers, "READER", ReaderKind)
    kind = kinds.get(reader.kind)
    if kind is None:
        raise BadConfig(f"{settings.file}: {table}.kind: one of {', '.join(kinds)}")
    return kind


def _printer_path(settings: Settings, printer: PrinterConfig) -> str:
    """Where the printer is, in the words of drivers.printers.carrier."""
    file = settings.folder / printer.path
    if printer.kind == "file" and not file.parent.is_dir():
        raise BadConfig(f"{settings.file}: printer.path: there is no folder {file.parent}")
    path = f"{printer.kind}:{file if printer.kind == 'file' else printer.path}"
    try:
        check_path(path)
    except PrinterRefused as error:
        raise BadConfig(f"{settings.file}: printer.path: {error.detail}") from error
    return path


def _local_time(wall_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(wall_ms / 1000))


class ShownAtAny(Shown):
    """The codes shown at any reader of the terminal: each has a thread of its own."""

    def __init__(self, since_s: int) -> None:
        super().__init__(since_s)
        self._one = threading.Lock()

    def admit(self, verified: Verified, now_s: int) -> None:
        """See Shown."""
        with self._one:
            super().admit(verified, now_s)


class Printing:
    """The printer of a terminal that has one, and the queue in front of it."""

    def __init__(self, settings: Settings, printer: PrinterConfig, books: Books) -> None:
        head = Place(books.journal.head.epoch, books.journal.head.seq)
        self.queue = PrintQueue(settings.data(RECEIPTS), head, books.clock.wall_ms)
        path = _printer_path(settings, printer)
        self.supervisor = PrintSupervisor(path, printer.width, self.queue)
        chinese = printer.language == "zh_CN"
        said = {key: text.zh if chinese else text.en for key, text in texts.load().items()}
        habits = Habits(
            head=printer.title or settings.at.site,
            wording=Wording(said, chinese),
            local=_local_time,
            wake=self.supervisor.wake,
            always=printer.always,
        )
        self.receipts = Receipts(books, self.queue, habits)

    def stop(self) -> None:
        """End, and let go of printer and queue."""
        self.supervisor.stop()
        self.queue.close()


def _link_settings(settings: Settings) -> LinkSettings:
    mqtt = settings.config.mqtt
    return LinkSettings(
        at=settings.at,
        host=mqtt.host,
        port=mqtt.port,
        ca=settings.path("mqtt.ca", mqtt.ca),
        certificate=settings.path("mqtt.certificate", mqtt.certificate),
        key=settings.path("mqtt.key", mqtt.key),
    )


def _certificate_ends_ms(file: Path) -> int:
    """Until when the broker believes who we are; 0 when the file cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return 0
    return int(certificate.not_valid_after_utc.timestamp() * 1000)


def _link(settings: Settings) -> MqttLink:
    world = World(
        uniform=SystemRandom().random,
        mono_s=time.monotonic,
        session=lambda: secrets.token_hex(_SESSION_BYTES),
        will=last_words,
    )
    return MqttLink(_link_settings(settings), world)


class Terminal:
    """The parts, put together; ``run`` starts them, and ends when the agent does."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        keys = load_keys(settings)
        clock = system_clock()
        self._link = _link(settings)
        self._journal = Journal(settings.data(JOURNAL), keys.owner)
        self._cache = Cache(settings.data(CACHE))
        at = settings.at
        books = Books(self._journal, self._cache, clock, at.terminal, os.urandom)
        books.open_epoch()
        relay = Relay(books, clock, self._link, *last_word(self._journal, keys.trust))
        commands = Commands(at.terminal, keys.trust.cloud, books, relay, clock)
        inbox = Inbox(at, keys.trust, books, relay, self._link, commands)
        inbox.load()
        readers = {table: ReaderEvents() for table in _readers(settings)}
        printer = settings.config.printer
        self._printing = Printing(settings, printer, books) if printer else None
        sources = Sources(
            books=books,
            relay=relay,
            commands=commands,
            inbox=inbox,
            link=self._link,
            clock=clock,
            devices=partial(_devices, readers, self._printing),
            certificate_ends_ms=partial(_certificate_ends_ms, _link_settings(settings).certificate),
        )
        self._notifier = Notifier(environment)
        self.agent = Agent(
            Parts(
                clock=clock,
                books=books,
                relay=relay,
                commands=commands,
                inbox=inbox,
                board=Board(Identity(at.terminal, _version()), sources),
                notifier=self._notifier,
                receipts=self._printing.receipts if self._printing else None,
            )
        )
        examiner = _examiner(settings, keys, clock)
        self._readers = []
        for table, reader in _readers(settings).items():
            kind, events = _reader_kind(settings, table, reader), readers[table]
            where = ReaderSettings(reader.path, reader.names, reader.allow_virtual)
            supervisor = Supervisor(kind, where, examiner, events)
            events.attach(self.agent, supervisor)
            self._readers.append(supervisor)

    def run(self) -> None:
        """Serve until the agent is stopped; then give everything back."""
        server, thread = self._start_http()
        self._link.start(self.agent)
        for reader in self._readers:
            reader.start()
        if self._printing:
            self._printing.supervisor.start()
        self._notifier.ready()
        try:
            self.agent.run()
        finally:
            for reader in self._readers:
                reader.stop()
            if self._printing:
                self._printing.stop()
            self._link.stop()
            server.should_exit = True
            thread.join(2 * _HTTP_STOP_S)
            self._cache.close()
            self._journal.close()

    def _start_http(self) -> tuple[uvicorn.Server, threading.Thread]:
        """Serve pages and tills in a thread; return once they are answered."""
        import uvicorn

        from edge.kiosk.server import create_app
        from edge.till import create_router

        http, counter = self._settings.config.http, self.agent.counter
        printer = self._settings.config.printer
        token = self._settings.token()
        app = create_app(
            counter,
            time.monotonic,
            routers=[create_router(counter, token)] if token else [],
            top_ups=http.top_ups,
            receipts=printer is not None and not printer.always,
        )
        try:
            listener = socket.create_server((_HTTP_HOST, http.port))
        except OSError as error:
            failure = InUse if error.errno == errno.EADDRINUSE else BadConfig
            raise failure(f"{self._settings.file}: http.port {http.port}: {error}") from error
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=_HTTP_STOP_S,
            )
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True
        )
        thread.start()
        end = time.monotonic() + _HTTP_START_S
        while not server.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        return server, thread


def check(settings: Settings) -> None:
    """Read every file that the configuration names; BadConfig when one cannot be used."""
    load_keys(settings)
    _link(settings)
    for table, reader in _readers(settings).items():
        _reader_kind(settings, table, reader)
    if settings.config.printer:
        _printer_path(settings, settings.config.printer)
    settings.token()


@contextmanager
def only_agent(settings: Settings) -> Iterator[None]:
    """Hold the terminal's folder: two agents on one journal would be a fork."""
    path = settings.data(_LOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("w")
    except OSError as error:
        raise BadConfig(f"{settings.file}: data_dir: {error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InUse(f"{settings.file}: data_dir: another agent uses it") from error
        yield


def _devices(readers: Mapping[str, ReaderEvents], printing: Printing | None) -> Devices:
    printer = printing.supervisor.health if printing else ""
    return Devices(**{name: each.health() for name, each in readers.items()}, printer=printer)


def _examiner(settings: Settings, keys: Keys, clock: Clock) -> Examiner:
    """One for all readers: a code that one of them saw is used up at the others."""
    shown = ShownAtAny(since_s=clock.wall_ms() // 1000)

    def trust() -> CardTrust:
        now_ms = clock.wall_ms()
        return CardTrust(
            reference_key=keys.reference,
            issuers=keys.issuers,
            tenant=settings.at.tenant,
            day=now_ms // _DAY_MS,
            site=keys.site,
            codes=CodeTrust(now_ms // 1000, shown),
        )

    return Examiner(
        kinds=card_kinds(),
        trust=trust,
        nonce=lambda: os.urandom(NONCE_BYTES),
        now=time.monotonic,
    )


def last_word(journal: Journal, trust: Trust) -> tuple[Standing, int]:
    """What the cloud said last of this terminal, and when by its clock.

    A fork stops the epoch of which it was said: who grants the next one has judged it.
    """
    marks: dict[int, Watermark] = {}
    for epoch, data in journal.watermarks().items():
        with suppress(ProtocolError):
            marks[epoch] = watermark.accept(data, trust.cloud)
    if not marks:
        return Standing.ACTIVE, 0
    newest = max(marks.values(), key=lambda mark: mark.server_ms)
    standing = newest.standing
    if standing is Standing.FORKED:
        present = marks.get(journal.head.epoch)
        standing = present.standing if present else Standing.ACTIVE
    return standing, newest.server_ms


def _version() -> str:
    try:
        return version("tapledger")
    except PackageNotFoundError:
        return "checkout"
