"""Takes in what terminals say and tells them what the cloud has: one thread, one queue.

A message is acknowledged to the broker when what it says is committed, or when it was refused for
good. While the database is away nothing is acknowledged, and nothing is lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import structlog

from cloud.errors import StorageDown
from cloud.fleet import store as fleet
from cloud.gateway.counts import Counts
from cloud.gateway.mqtt import Arrival
from cloud.gateway.tell import Teller
from cloud.ledger.chains import Batch
from cloud.ledger.transaction import Ledger
from cloud.storage.engine import Database
from protocol.codec import decode
from protocol.command import CommandDone
from protocol.errors import BadTopic, ProtocolError, TooLarge
from protocol.shadow import Reported
from protocol.status import Status
from protocol.topics import Address, Up, parse_up

# Messages that may wait here; then the line waits, and the broker keeps the rest.
QUEUE_MAX = 4_096
# Batches of one transaction: 3,200 records share a commit, and a watermark waits 0.3 s at most.
BATCHES_MAX = 64
# What a terminal says of itself takes less than 1 KiB.
SAID_BYTES_MAX = 4 * 1024
# While records keep coming, terminals hear of changed members this often.
FEED_EVERY_S = 0.25
# Between two attempts at a database that does not answer.
RETRY_S = 1.0
# A thread that took no turn for so long hangs: a statement is given up long before
# (cloud.storage.engine).
STALLED_S = 120.0

_log = structlog.get_logger()
_Job = Callable[[], None]
_Said = tuple[Address, Status | Reported | CommandDone]
_SHAPES: dict[Up, type[Status | Reported | CommandDone]] = {
    Up.STATUS: Status,
    Up.REPORTED: Reported,
    Up.RSP: CommandDone,
}


class _Heard(NamedTuple):
    at: Address
    leaf: Up
    arrival: Arrival


def _read(heard: _Heard) -> Status | Reported | CommandDone:
    payload = heard.arrival.payload
    if len(payload) > SAID_BYTES_MAX:
        raise TooLarge(f"{heard.leaf} of {len(payload)} bytes, at most {SAID_BYTES_MAX}")
    return decode(payload, _SHAPES[heard.leaf])


class Clocks(Protocol):
    """``wall_ms`` is UTC in ms since 1970, ``mono_s`` a monotonic clock in seconds."""

    def wall_ms(self) -> int: ...
    def mono_s(self) -> float: ...


class Station:
    """Listens to the line, and is the Line of cloud.http.backend."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        teller: Teller,
        counts: Counts,
        clocks: Clocks,
        tenant: str,
    ) -> None:
        self._database, self._ledger, self._teller = database, ledger, teller
        self._counts, self._clocks, self._tenant = counts, clocks, tenant
        self._queue: queue.Queue[Arrival | _Job] = queue.Queue(QUEUE_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="station", daemon=True)
        self._feed_due = False
        self._fed_s = 0.0
        self._turned_s = clocks.mono_s()
        self._must_say_all = threading.Event()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is in hand; what waits is not acknowledged and comes again."""
        self._stopping.set()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread took a turn lately, or tried to while the database is away."""
        return self._thread.is_alive() and self._clocks.mono_s() - self._turned_s < STALLED_S

    # -- told by the line, and by routes after their commit ------------------------------------

    def on_line_up(self) -> None:
        """See MqttListener."""
        self._soon(self._teller.tell_everybody)

    def on_message(self, arrival: Arrival) -> None:
        """See MqttListener."""
        self._queue.put(arrival)

    def terminal_changed(self, terminal: str) -> None:
        """See Line."""
        self._soon(lambda: self._teller.tell_all_of(terminal))

    def bundle_published(self) -> None:
        """See Line."""
        self._soon(self._teller.tell_bundle)

    def members_changed(self) -> None:
        """See Line."""
        self._soon(self._want_feed)

    def command(self, terminal: str, data: bytes) -> None:
        """See Line."""
        self._soon(lambda: self._teller.tell_command(terminal, data))

    def _soon(self, job: _Job) -> None:
        """Leave ``job`` to the thread, and never wait: who tells it serves a person or the line.

        Where there is no room for it the thread says everything again, which takes the place of
        all but a command: that one stays unanswered, as on a line that is down.
        """
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self._must_say_all.set()

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._turned_s = self._clocks.mono_s()
            waiting = self._take()
            if not self._survived(waiting):
                for each in waiting:
                    self._try_alone(each)

    def _survived(self, waiting: Sequence[Arrival | _Job]) -> bool:
        try:
            self._work(waiting)
        except Exception:  # noqa: BLE001  (whatever it is, the thread must go on)
            _log.exception("station_failed")
            self._counts.failed()
            return False
        return True

    def _try_alone(self, each: Arrival | _Job) -> None:
        """Once more, so that what fails takes nothing along.

        What fails again is acknowledged: it would come for ever, and the line takes only so many
        unacknowledged. Records are sent again by their terminal, which waits for a watermark.
        """
        if self._stopping.is_set() or self._survived([each]) or self._stopping.is_set():
            return
        if not callable(each):
            _log.error("message_given_up", topic=each.topic)
            each.done()

    def _take(self) -> list[Arrival | _Job]:
        """Wait for something, and return it with what else is there."""
        try:
            waiting = [self._queue.get(timeout=FEED_EVERY_S)]
        except queue.Empty:
            return []
        while len(waiting) < BATCHES_MAX:
            try:
                waiting.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return waiting

    def _work(self, waiting: Sequence[Arrival | _Job]) -> None:
        batches: list[_Heard] = []
        said: list[_Heard] = []
        if self._must_say_all.is_set():
            self._must_say_all.clear()
            self._until_stored(self._teller.tell_everybody)
            self._want_feed()
        for each in waiting:
            if callable(each):
                self._until_stored(each)
                continue
            heard = self._placed(each)
            if heard is None:
                each.done()
            elif heard.leaf is Up.TX:
                batches.append(heard)
            else:
                said.append(heard)
        if batches:
            self._until_stored(lambda: self._ingest(batches))
        if said:
            self._hear(said)
        self._feed()

    def _placed(self, arrival: Arrival) -> _Heard | None:
        try:
            at, leaf = parse_up(arrival.topic)
        except BadTopic as error:
            self._counts.refused(error.code)
            return None
        if at.tenant != self._tenant:
            self._counts.refused("wrong_tenant")
            return None
        return _Heard(at, leaf, arrival)

    def _ingest(self, batches: Sequence[_Heard]) -> None:
        began_s = self._clocks.mono_s()
        committed = self._ledger.ingest(
            [Batch(each.at.site, each.at.terminal, each.arrival.payload) for each in batches]
        )
        self._counts.committed(committed, self._clocks.mono_s() - began_s)
        for refusal in committed.refusals:
            _log.warning(
                "batch_refused",
                terminal=refusal.terminal,
                reason=refusal.reason,
                detail=refusal.detail,
            )
        for watermark in committed.watermarks:
            self._teller.tell_watermark(watermark)
        for each in batches:
            each.arrival.done()
        self._feed_due = self._feed_due or any(made.states for made in committed.made)

    def _hear(self, said: Sequence[_Heard]) -> None:
        """Keep what terminals say of themselves, the newest of each, in one transaction."""
        news: dict[tuple[str, Up, bytes], _Said] = {}
        for heard in said:
            try:
                what = _read(heard)
            except ProtocolError as error:
                self._counts.refused(error.code)
                _log.warning("message_refused", terminal=heard.at.terminal, reason=error.code)
                continue
            each = what.id if isinstance(what, CommandDone) else b""
            news[heard.at.terminal, heard.leaf, each] = heard.at, what
        if news:
            self._until_stored(lambda: self._keep(list(news.values())))
        for at, what in news.values():
            if isinstance(what, Reported):
                self._until_stored(partial(self._teller.heard, at, what))
                self._want_feed()
        for heard in said:
            heard.arrival.done()

    def _keep(self, news: Sequence[_Said]) -> None:
        now_ms = self._clocks.wall_ms()
        with self._database.write() as connection:
            for at, what in news:
                if isinstance(what, Status):
                    fleet.hear_status(connection, at.terminal, what, now_ms)
                elif isinstance(what, Reported):
                    fleet.hear_reported(connection, at.terminal, what, now_ms)
                else:
                    fleet.finish_command(connection, at.terminal, what, now_ms)

    def _want_feed(self) -> None:
        self._feed_due = True

    def _feed(self) -> None:
        """Tell terminals of changed members: at once when it is quiet, now and then when not."""
        now_s = self._clocks.mono_s()
        if self._feed_due and (self._queue.empty() or now_s - self._fed_s >= FEED_EVERY_S):
            self._until_stored(self._tell_members)
            self._fed_s = now_s

    def _tell_members(self) -> None:
        self._feed_due = not self._teller.tell_members()

    def _until_stored(self, work: _Job) -> None:
        """Do ``work``, again and again while the database is away."""
        while True:
            self._turned_s = self._clocks.mono_s()
            try:
                work()
            except StorageDown as error:
                _log.error("storage_down", detail=error.detail)
                self._counts.refused(error.code)
                if self._stopping.wait(RETRY_S):
                    raise
            else:
                return
