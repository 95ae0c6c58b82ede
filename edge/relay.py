"""Carries out what sync_flow wants: reads the journal, feeds the line, keeps watermarks.

The backlog is on disk and read a batch at a time; nothing here grows with it.
"""

from __future__ import annotations

import logging
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

# A record that the ledger has not acknowledged for so long was sent twice: whatever the broker
# says, nobody who decides hears this terminal, and the limits of an offline one must hold.
UNHEARD_MS = 2 * sync_flow.RESEND_MS

_log = logging.getLogger(__name__)


class Relay:
    """One thread. JournalRefused passes through; the flow goes on when the journal does."""

    def __init__(self, books: Books, clock: Clock, link: Link, standing: Standing) -> None:
        self._books, self._clock, self._link = books, clock, link
        journal = books.journal
        head = journal.head
        self.state = sync_flow.start(head.epoch, head.seq, journal.acked_seq, standing)
        self._watermark = b""

    @property
    def queue(self) -> int:
        """How many records the ledger does not have yet."""
        return self.state.head - self.state.acked

    def is_heard(self) -> bool:
        """Whether the ledger, not just the broker, takes what this terminal books."""
        oldest_ms = self._books.journal.oldest_waiting_ms()
        return not oldest_ms or self._clock.wall_ms() - oldest_ms < UNHEARD_MS

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
        head = self._books.journal.head
        if head.seq > self.state.head:
            self.feed(sync_flow.Appended(head.seq))

    def receive(self, mark: Watermark, data: bytes) -> None:
        """Take a verified watermark with its signed bytes."""
        own_hash = self._books.journal.hash_at(mark.upto_seq)
        self._watermark = data
        self.feed(sync_flow.Receipt(mark, own_hash))

    def tick(self) -> None:
        """Tell the flow that time passed, if it waits for it."""
        due = sync_flow.wake_ms(self.state)
        if due is not None and self._clock.mono_ms() >= due:
            self.feed(sync_flow.Ticked())

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
        self._books.journal.acknowledge(mark.upto_seq, self._watermark)
        self._books.pending.acknowledge(Place(mark.epoch, mark.upto_seq))
        self._clock.not_before(mark.server_ms)
