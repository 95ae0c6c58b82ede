"""Carries out what sync_flow wants: reads the journal, feeds the line, keeps watermarks.

The backlog is on disk and read a batch at a time; nothing here grows with it.
"""

from __future__ import annotations

import logging
import math
from collections import deque

from edge import sync_flow
from edge.books import Books
from edge.clock import Clock
from edge.pending import Place
from edge.ports import Link
from edge.sync_flow import Acknowledge, Action, Alarm, Event, Send
from protocol import batch
from protocol.topics import Up
from protocol.watermark import Standing, Watermark

# What waits was sent twice in this time: if the ledger took nothing of it, then nobody who decides
# hears this terminal, whatever the broker says, and the limits of an offline one must hold.
UNHEARD_MS = 2 * sync_flow.RESEND_MS

_log = logging.getLogger(__name__)


class Relay:
    """One thread. JournalRefused passes through; the flow goes on when the journal does.

    ``standing`` and ``heard_ms`` are the cloud's last word of this terminal; FORKED is one of the
    epoch in which it books now.
    """

    _later: int  # records of epochs behind the one that is sent, up to
    _counted: int  # this seq of the present one: no other epoch grows

    def __init__(
        self, books: Books, clock: Clock, link: Link, standing: Standing, heard_ms: int = 0
    ) -> None:
        self._books, self._clock, self._link = books, clock, link
        self._is_forked = standing is Standing.FORKED
        self._left = 0  # records of epochs that the ledger refused: they stay, and are tried again
        self._start_epoch(standing, heard_ms)
        clock.heard(heard_ms)
        self._watermark = b""
        # Monotonic: when the ledger last took something, or had everything. Nobody knows how long
        # what waits at the start has waited.
        self._heard_ms = -math.inf if self._waiting else clock.mono_ms()
        self.left_alarm = ""  # why the ledger did not take an epoch that was left behind
        self._go_on()

    @property
    def queue(self) -> int:
        """How many records the ledger does not have yet."""
        return self._waiting + self._left

    def is_heard(self) -> bool:
        """Whether the ledger, not just the broker, takes what this terminal books."""
        return not self._waiting or self._clock.mono_ms() - self._heard_ms < UNHEARD_MS

    def feed(self, event: Event) -> None:
        """Take an event of the line or of time, and do what follows."""
        events: deque[Event] = deque((event,))
        try:
            while events:
                actions = self._step(events.popleft())
                for action in actions:
                    events.extend(self._act(action))
        finally:
            if self.state.asked:  # the journal refused before there was an answer
                self._step(sync_flow.NotSent())

    def appended(self) -> None:
        """Tell the flow of records that the journal took."""
        journal = self._books.journal
        if not self._waiting:
            self._heard_ms = self._clock.mono_ms()
        if self.state.epoch != journal.head.epoch:
            self._later += journal.head.seq - self._counted
            self._counted = journal.head.seq
        elif journal.head.seq > self.state.head:
            self.feed(sync_flow.Appended(journal.head.seq))

    def receive(self, mark: Watermark, data: bytes) -> None:
        """Take a verified watermark with its signed bytes."""
        if data == self._known:
            return
        own_hash = self._books.journal.hash_at(mark.upto_seq)
        self._watermark = data
        self.feed(sync_flow.Receipt(mark, own_hash))
        self._go_on()

    def tick(self) -> None:
        """Tell the flow that time passed, if it waits for it."""
        due = sync_flow.wake_ms(self.state)
        if due is not None and self._clock.mono_ms() >= due:
            self.feed(sync_flow.Ticked())

    def _go_on(self) -> None:
        """Turn to the next epoch once the ledger has this one whole, or refuses it.

        An operator grants a new epoch because the old one cannot go on: what halted the old one
        is told, and does not stop the terminal.
        """
        journal, state = self._books.journal, self.state
        halted = state.phase is sync_flow.Phase.HALTED
        if state.epoch == journal.head.epoch or not (halted or state.acked == state.head):
            return
        self.left_alarm = state.alarm or self.left_alarm
        journal.send_next()
        self._left += state.head - state.acked
        standing = state.standing
        if standing is not Standing.DRAIN_ONLY:
            standing = Standing.FORKED if self._is_forked else Standing.ACTIVE
        self._start_epoch(standing, state.heard_ms)
        if state.phase is not sync_flow.Phase.LINE_DOWN:
            self.feed(sync_flow.LineUp())
        self._go_on()

    def _start_epoch(self, standing: Standing, heard_ms: int) -> None:
        """Begin with the epoch that is to be sent.

        The grant of a newer one is younger than all that was said of an old one: the ledger is
        asked again, and only what it answers now counts.
        """
        journal = self._books.journal
        is_old = journal.sending != journal.head.epoch
        self.state = sync_flow.start(
            journal.sending,
            journal.sending_seq,
            journal.acked_seq,
            Standing.ACTIVE if is_old and standing is Standing.FORKED else standing,
            heard_ms,
        )._replace(standing=standing)
        self._known = journal.watermark  # the broker retains it: no news
        self._later = journal.waiting()
        self._counted = journal.head.seq

    @property
    def _waiting(self) -> int:
        return self.state.head - self.state.acked + self._later

    def _step(self, event: Event) -> tuple[Action, ...]:
        self.state, actions = sync_flow.step(self.state, event, self._clock.mono_ms())
        return actions

    def _act(self, action: Action) -> tuple[Event, ...]:
        if isinstance(action, Send):
            return (self._send(action.first),)
        if isinstance(action, Acknowledge):
            self._acknowledge(action.watermark)
        elif isinstance(action, Alarm):
            _log.error("sync stopped: %s", action.code)
        return ()

    def _send(self, first: int) -> Event:
        """Publish the records from ``first`` on that one batch takes."""
        records = self._books.journal.read(first, batch.BATCH_RECORDS_MAX)
        count = batch.fitting([len(record) for record in records])
        number = self._link.publish(Up.TX, batch.pack(records[:count])) if records else None
        if number is None:
            return sync_flow.NotSent()
        return sync_flow.Sent(first, first + count - 1, number)

    def _acknowledge(self, mark: Watermark) -> None:
        journal = self._books.journal
        if mark.upto_seq > journal.acked_seq:
            self._heard_ms = self._clock.mono_ms()
        journal.acknowledge(mark.upto_seq, self._watermark)
        self._books.pending.acknowledge(Place(mark.epoch, mark.upto_seq))
        self._clock.heard(mark.server_ms)
