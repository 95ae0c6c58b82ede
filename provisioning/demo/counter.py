"""One tap from end to end: order at the till, card on the reader, answer, card away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from provisioning.demo.plan import PlannedTap
from provisioning.demo.residents import HeldCard
from provisioning.demo.till import WAITING, Answer
from provisioning.demo.town import Terminal
from provisioning.errors import CounterSilent
from provisioning.processes import wait_until

APPROVED = "approved"
CHANGED_MIND = {"kind": "sale", "items": [{"sku": "coffee", "quantity": 1}]}
# From the card at the reader to the answer at the till: what the customer waits for.
WAITED = "customer"
# A card that is not read is presented again, as the screen asks for.
PRESENTATIONS = 4
# A reader sees a card leave within half a second; one that failed is opened again in a few.
READY_S = 20.0

Outcome = TypeVar("Outcome")


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
        self._last: HeldCard | None = None

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
        held = self._cards[tap.card]
        with self.terminal.lock, held.lock:
            self._till.place(tap.name, CHANGED_MIND)
            self._till.cancel(tap.name)
            self._again_until(lambda: self._till.look(lambda: self._insert(held)), tap.name)
        self.book.looks += 1

    def ask(self, name: str, card: str, order: Mapping[str, Any]) -> None:
        """Carry an order out with a card."""
        held = self._cards[card]
        with self.terminal.lock, held.lock:
            self._till.place(name, order)
            start = time.perf_counter()
            answer = self._answered(name, held)
        self.book.note(answer, (time.perf_counter() - start) * 1000)

    def ask_torn(self, tap: PlannedTap, apdus: int) -> None:
        """Carry an order out with a card that leaves at its n-th command, and comes back.

        The card has carried the command out; its answer is lost.
        """
        held = self._cards[tap.card]
        with self.terminal.lock, held.lock:
            self._till.place(tap.name, tap.order or {})
            self.terminal.device.faults.cut_after(apdus, answer_lost=True)
            answer = self._answered(tap.name, held)
        self.book.answers[answer.order] = answer

    def ask_through_crash(
        self, tap: PlannedTap, after_s: float, restart: Callable[[], None]
    ) -> None:
        """Carry an order out with an agent that is killed ``after_s`` behind the card's arrival.

        The customer takes the card away from the dark screen; the till asks for the same order
        again, and the card is presented again only if the order still waits.
        """
        order, held = tap.order or {}, self._cards[tap.card]
        with self.terminal.lock, held.lock:
            self._till.place(tap.name, order)
            self._insert(held)
            time.sleep(after_s)
            self.terminal.agent.kill()
            self.terminal.device.remove()
            restart()
            answer = self._till.place(tap.name, order)
            if answer.state == WAITING:
                answer = self._answered(tap.name, held)
        self.book.answers[answer.order] = answer

    def _answered(self, name: str, held: HeldCard) -> Answer:
        """Present the card until the order has its answer."""

        def present() -> Answer | None:
            self._insert(held)
            answer = self._till.answer(name)
            return None if answer.state == WAITING else answer

        return self._again_until(present, name)

    def _again_until(self, present: Callable[[], Outcome | None], name: str) -> Outcome:
        """Repeat what presents a card, as people do, until the terminal has taken it."""
        for _ in range(PRESENTATIONS):
            outcome = present()
            self.terminal.device.remove()
            if outcome is not None:
                return outcome
        raise CounterSilent(f"no answer to {name} after {PRESENTATIONS} presentations")

    def _insert(self, held: HeldCard) -> None:
        """Put a card down; the one that was there last only once the reader saw it leave."""
        if held is self._last:
            wait_until(self.is_ready, READY_S, f"{self.terminal.at.terminal}'s reader")
        self._last = held
        self.terminal.device.insert(held.card)
