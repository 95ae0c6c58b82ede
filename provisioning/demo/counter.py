"""One tap from end to end: order at the till, card on the reader, answer, card away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.demo.plan import PlannedTap
from provisioning.demo.residents import HeldCard
from provisioning.demo.till import WAITING, Answer
from provisioning.demo.town import Terminal

APPROVED = "approved"
CHANGED_MIND = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 1}]}
# From the card at the reader to the answer at the till: what the customer waits for.
WAITED = "customer"


@dataclass(slots=True)
class Book:
    """What the people at one counter know afterwards; ``looks`` are taps without an order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    looks: int = 0
    stages_ms: dict[str, list[float]] = field(default_factory=dict)

    def note(self, answer: Answer, waited_ms: float) -> None:
        """Write down an answer and where its time went."""
        self.answers[answer.order] = answer
        for stage, duration in {**answer.stages_ms, WAITED: waited_ms}.items():
            self.stages_ms.setdefault(stage, []).append(duration)


class Counter:
    """The counter in front of one terminal, with its book. For one thread at a time."""

    def __init__(self, terminal: Terminal, cards: Mapping[str, HeldCard]) -> None:
        self.terminal, self.book = terminal, Book()
        self._cards = cards
        self._till = terminal.till()

    def close(self) -> None:
        """Give the till's connection back."""
        self._till.close()

    def is_ready(self) -> bool:
        """Whether the terminal can accept cards."""
        return self._till.is_ready()

    def is_online(self) -> bool:
        """Whether the terminal has its line to the broker."""
        return self._till.is_online()

    def serve(self, tap: PlannedTap) -> None:
        """Serve one planned tap."""
        order = tap.order
        if tap.voids:
            sold = self.book.answers.get(tap.voids)
            if sold is not None and sold.state == APPROVED:
                order = {"kind": "void", "refers_to": sold.tid}
        if order is None:
            self.look(tap)
        else:
            self.ask(tap.name, tap.card, order)

    def look(self, tap: PlannedTap) -> None:
        """A member wanted to buy, changes their mind, and only looks at the balance."""
        held, device = self._cards[tap.card], self.terminal.device
        with self.terminal.lock, held.lock:
            self._till.place(tap.name, CHANGED_MIND)
            self._till.cancel(tap.name)
            self._till.look(lambda: device.insert(held.card))
            device.remove()
        self.book.looks += 1

    def ask(self, name: str, card: str, order: Mapping[str, Any]) -> None:
        """Carry an order out with a card."""
        held, device = self._cards[card], self.terminal.device
        with self.terminal.lock, held.lock:
            self._till.place(name, order)
            start = time.perf_counter()
            device.insert(held.card)
            answer = self._till.answer(name)
            waited_ms = (time.perf_counter() - start) * 1000
            device.remove()
        self.book.note(answer, waited_ms)

    def ask_through_crash(
        self, tap: PlannedTap, after_s: float, restart: Callable[[], None]
    ) -> None:
        """Carry an order out with an agent that is killed ``after_s`` behind the card's arrival.

        The customer takes the card away from the dark screen; the till asks for the same order
        again, and the card is presented again only if the order still waits.
        """
        order = tap.order or {}
        held, device = self._cards[tap.card], self.terminal.device
        with self.terminal.lock, held.lock:
            self._till.place(tap.name, order)
            device.insert(held.card)
            time.sleep(after_s)
            self.terminal.agent.kill()
            device.remove()
            restart()
            answer = self._till.place(tap.name, order)
            if answer.state == WAITING:
                device.insert(held.card)
                answer = self._till.answer(tap.name)
                device.remove()
        self.book.answers[answer.order] = answer
