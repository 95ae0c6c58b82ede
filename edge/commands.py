"""What an operator tells this terminal to do: checked, run once, written down, answered."""

from __future__ import annotations

from collections.abc import Mapping

from edge import sync_flow
from edge.books import Books
from edge.clock import Clock
from edge.draft import Draft
from edge.relay import Relay
from protocol import command
from protocol.command import Command, CommandDone, Verb
from protocol.record import Kind
from protocol.signing import VerifyingKey

DONE = "done"
EXPIRED = "expired"
OTHER_TERMINAL = "other_terminal"
# Before a command's id in the order field of its record: no till's order id can have a slash, and
# an order id is booked only once.
_ORDER = "cmd/"
_LOCKS = {Verb.LOCK: True, Verb.UNLOCK: False}


class Commands:
    """One thread. JournalRefused means that the command was not run."""

    def __init__(
        self,
        terminal: str,
        cloud: Mapping[bytes, VerifyingKey],
        books: Books,
        relay: Relay,
        clock: Clock,
    ) -> None:
        self._terminal, self._cloud = terminal, cloud
        self._books, self._relay, self._clock = books, relay, clock
        self.locked = self._locked()

    def run(self, data: bytes) -> CommandDone:
        """Run a signed command unless it was run before; ProtocolError when it is not genuine.

        Written down before it takes effect, so that a restart changes nothing.
        """
        order = command.accept(data, self._cloud)
        return CommandDone(id=order.id, code=self._outcome(order))

    def _outcome(self, order: Command) -> str:
        if order.terminal != self._terminal:
            return OTHER_TERMINAL
        name = _ORDER + order.id.hex()
        if self._books.journal.by_order(name) is not None:
            return DONE
        if self._clock.wall_ms() > order.not_after_ms:
            return EXPIRED
        draft = Draft(Kind.OPERATOR, order=name, reason=order.verb, note=order.operator)
        self._books.write(draft)
        self.locked = _LOCKS.get(order.verb, self.locked)
        if order.verb is Verb.SYNC_NOW:
            self._relay.feed(sync_flow.Nudged())
        return DONE

    def _locked(self) -> bool:
        """Whether the last lock or unlock locked."""
        verbs = (Verb(record.reason) for record in self._books.journal.commands())
        return next((_LOCKS[verb] for verb in verbs if verb in _LOCKS), False)
