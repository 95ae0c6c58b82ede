"""What people in front of the terminal and operators far away see of it, kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from drivers.supervise import Health
from edge.books import Books
from edge.clock import Clock
from edge.commands import Commands
from edge.decide import NO_PRICES, TERMINAL_LOCKED, TERMINAL_STOPPED
from edge.inbox import Inbox
from edge.order import Order, OrderKind
from edge.ports import Link, Screen
from edge.relay import Relay
from edge.tap_flow import Phase, State
from protocol.codec import encode
from protocol.errors import ProtocolError
from protocol.record import Line
from protocol.status import Status
from protocol.topics import Up
from protocol.watermark import Standing

JOURNAL_REFUSED = "journal_refused"
# While a backlog drains its length changes a hundred times a second; people read slower.
QUEUE_EVERY_MS = 250
# An operator asks for another rhythm with Desired.status_every_s.
STATUS_EVERY_MIN_S = 1
CERTIFICATE_ENDS = "certificate_ends"
# The last third of a certificate's 90 days: from here on it can be renewed.
CERTIFICATE_LEFT_MS = 30 * 86_400_000


class Identity(NamedTuple):
    """How the terminal calls itself."""

    terminal: str
    version: str


class Devices(NamedTuple):
    """How each is; empty for a scanner or printer that the terminal does not have."""

    reader: str
    scanner: str = ""
    printer: str = ""


class _Key(NamedTuple):
    """A screen is made anew when one of these changes."""

    tap: State
    online: bool
    closed: str
    devices: Devices
    bundle: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the board looks."""

    books: Books
    relay: Relay
    commands: Commands
    inbox: Inbox
    link: Link
    clock: Clock
    devices: Callable[[], Devices]
    certificate_ends_ms: Callable[[], int]  # of the file that the next line takes; 0 when unknown


def last_words(session: str) -> bytes:
    """What the broker publishes when the connection ``session`` breaks."""
    return encode(Status(online=False, session=session))


class Board:
    """One thread; ``screen`` may be read by any."""

    def __init__(self, me: Identity, sources: Sources) -> None:
        self._me = me
        self._sources = sources
        self._session = ""
        self._certificate_ends_ms = 0
        self._key: _Key | None = None
        self._queue_ms = 0
        self._status_ms = 0
        self._told: Status | None = None
        self.lines: tuple[Line, ...] = ()  # of the answered tap
        self.screen = Screen(revision=0, phase=Phase.ATTRACT, terminal=me.terminal)

    def line_up(self, session: str) -> None:
        """A line stands: the next refresh says who is there."""
        self._session, self._told = session, None
        self._certificate_ends_ms = self._sources.certificate_ends_ms()

    def line_down(self) -> None:
        """No line stands."""
        self._session = ""

    def say_goodbye(self) -> None:
        """Tell operators that the terminal goes on purpose."""
        if self._session:
            self._sources.link.publish(Up.STATUS, last_words(self._session))

    def refusal(self) -> str:
        """Why no card may be served now: see decide.Facts.closed."""
        state = self._sources.relay.state
        if state.standing is not Standing.ACTIVE or state.alarm:
            return TERMINAL_STOPPED
        return TERMINAL_LOCKED if self._sources.commands.locked else ""

    def refresh(self, tap: State) -> Screen | None:
        """Return the new screen if something on it changed."""
        now_ms = self._sources.clock.mono_ms()
        key = self._key_of(tap)
        queue = self._sources.relay.queue
        counts = queue != self.screen.queue and now_ms >= self._queue_ms
        if key == self._key and not counts:
            return None
        self._key, self._queue_ms = key, now_ms + QUEUE_EVERY_MS
        self.screen = self._drawn(key, queue, now_ms)
        return self.screen

    def tell(self, tap: State) -> None:
        """Publish the status when what matters in it changed, and every so often."""
        if not self._session:
            return
        key, now_ms = self._key_of(tap), self._sources.clock.mono_ms()
        relay = self._sources.relay
        alarm = relay.state.alarm or relay.left_alarm
        note = alarm or self._sources.inbox.last_refused or key.closed or self._certificate_note()
        told = self._told
        known = told and (
            Devices(told.reader, told.scanner, told.printer),
            told.bundle_version,
            told.locked,
            told.note,
        )
        locked = self._sources.commands.locked
        is_news = known != (_lasting(key.devices), key.bundle, locked, note)
        if not is_news and now_ms < self._status_ms:
            return
        status = self._status(key, note)
        if self._sources.link.publish(Up.STATUS, encode(status)) is not None:
            self._told = status
            every_s = max(STATUS_EVERY_MIN_S, self._sources.inbox.desired.status_every_s)
            self._status_ms = now_ms + every_s * 1000

    def _certificate_note(self) -> str:
        left_ms = self._certificate_ends_ms - self._sources.clock.wall_ms()
        return (
            CERTIFICATE_ENDS if self._certificate_ends_ms and left_ms < CERTIFICATE_LEFT_MS else ""
        )

    def _key_of(self, tap: State) -> _Key:
        in_force = self._sources.books.in_force()
        bundle = in_force.ref.version if in_force else 0
        closed = self._closed(tap, bundle)
        return _Key(tap, bool(self._session), closed, self._sources.devices(), bundle)

    def _closed(self, tap: State, bundle: int) -> str:
        if tap.phase is Phase.CANNOT_ACCEPT:
            return JOURNAL_REFUSED
        return self.refusal() or ("" if bundle else NO_PRICES)

    def _drawn(self, key: _Key, queue: int, now_ms: int) -> Screen:
        tap = key.tap
        in_force = self._sources.books.in_force()
        bundle = in_force.pricing.bundle if in_force else None
        lines = self.lines if tap.answer else self._preview(tap.order)
        total = tap.answer.total if tap.answer else sum(line.net_price for line in lines)
        if tap.order and tap.order.kind is OrderKind.TOP_UP:
            total = tap.order.amount
        return Screen(
            revision=self.screen.revision + 1,
            phase=tap.phase,
            order=tap.order,
            lines=lines,
            total=total,
            answer=tap.answer,
            problem=tap.problem,
            closed=key.closed,
            lasts_s=max(0, tap.ends_ms - now_ms) / 1000 if tap.ends_ms is not None else 0.0,
            online=key.online,
            queue=queue,
            reader=key.devices.reader,
            scanner=key.devices.scanner,
            printer=key.devices.printer,
            terminal=self._me.terminal,
            bundle=key.bundle,
            currency=bundle.currency if bundle else "",
            products=bundle.products if bundle else (),
        )

    def _preview(self, order: Order | None) -> tuple[Line, ...]:
        """Price a waiting basket without a tier, as no card is known yet."""
        in_force = self._sources.books.in_force()
        if order is None or order.kind is not OrderKind.SALE or in_force is None:
            return ()
        try:
            items = [(item.sku, item.quantity) for item in order.items]
            return in_force.pricing.price(items, "").lines
        except ProtocolError:
            return ()

    def _status(self, key: _Key, note: str) -> Status:
        sources = self._sources
        journal, flow = sources.books.journal, sources.relay.state
        readable = key.tap.phase is not Phase.CANNOT_ACCEPT
        devices = _lasting(key.devices)
        return Status(
            online=True,
            session=self._session,
            agent=self._me.version,
            epoch=flow.epoch,
            head_seq=flow.head,
            acked_seq=flow.acked,
            oldest_ms=journal.oldest_waiting_ms() if readable else 0,
            bundle_version=key.bundle,
            list_version=sources.books.cache.state.version,
            reader=devices.reader,
            scanner=devices.scanner,
            printer=devices.printer,
            locked=sources.commands.locked,
            note=note,
            certificate_ends_ms=self._certificate_ends_ms,
        )


def _lasting(devices: Devices) -> Devices:
    """A card on a reader is gone before an operator reads of it."""
    return Devices(*(Health.READY if each == Health.CARD else each for each in devices))
