"""The till and the customers at one terminal of a rig: what they order, and what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from drivers.virtual.cards.cpu import CpuCard
from provisioning.demo.till import ANSWER_S, WAITING, Answer
from provisioning.demo.town import Terminal
from provisioning.errors import CounterSilent
from tests.system.rig import MEMBERS, Rig

_MENU = ("coffee", "tea", "noodles", "dumplings", "cake")
# A busy machine may keep the software reader from answering in time, as a loose cable would: the
# customer presents the card again, as any customer does.
PRESENTED_MAX = 4


class CountedCard:
    """A card that tells how many commands it answered since it was made."""

    def __init__(self, card: CpuCard) -> None:
        self._card = card
        self._more = threading.Condition()
        self.commands = 0

    def wait(self, commands: int) -> None:
        """Return once it has answered so many; or when that takes too long to matter."""
        with self._more:
            self._more.wait_for(lambda: self.commands >= commands, ANSWER_S)

    @property
    def atr(self) -> bytes:
        return self._card.atr

    @property
    def historical(self) -> bytes:
        return self._card.historical

    @property
    def uid(self) -> bytes:
        return self._card.uid

    def reset(self) -> None:
        self._card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        answer = self._card.transmit(apdu)
        with self._more:
            self.commands += 1
            self._more.notify_all()
        return answer


class Counter:
    """For one thread at a time; close it when done. ``told``: what the till knows, by order."""

    def __init__(self, rig: Rig, name: str, random: Random) -> None:
        self.rig, self.random = rig, random
        self.terminal: Terminal = rig.terminals[name]
        self.till = self.terminal.till()
        self.told: dict[str, Answer] = {}
        self.commands = 0  # that a card answers in a whole tap
        self._number = 0

    def close(self) -> None:
        """Give the connection back."""
        self.till.close()

    def open(self) -> None:
        """Have every member pay in."""
        for _ in MEMBERS:
            self.tap()

    def tap(self, during: Callable[[CountedCard], object] = lambda _: None) -> Answer:
        """Order, card, answer; ``during`` runs right after the card came."""
        name, order, card = self.next_order()
        assert self.till.place(name, order).state == WAITING
        self.terminal.device.insert(card)
        during(card)
        self.told[name] = self.answer(name, card)
        self.commands = self.commands or card.commands
        return self.told[name]

    def next_order(self) -> tuple[str, dict[str, Any], CountedCard]:
        """Name, document and card of the next order: everybody pays in, then buys."""
        place = self._number
        self._number += 1
        held = self.rig.cards[MEMBERS[place % len(MEMBERS)]].card
        assert isinstance(held, CpuCard)
        card = CountedCard(held)
        order: dict[str, Any] = {"kind": "top_up", "amount": 5_000, "method": "cash"}
        if place >= len(MEMBERS) and self.random.random() < 0.7:
            basket = self.random.sample(_MENU, self.random.choice((1, 2)))
            order = {"kind": "sale", "items": [{"sku": sku, "quantity": 1} for sku in basket]}
        return f"{self.terminal.at.terminal}.{place:04d}", order, card

    def answer(self, name: str, card: CountedCard) -> Answer:
        """Wait for the answer to an order whose card is there; the card is gone then."""
        for _ in range(PRESENTED_MAX - 1):
            try:
                answer = self.till.answer(name)
            except CounterSilent:
                self.terminal.device.remove()
                self.terminal.device.insert(card)
            else:
                break
        else:
            answer = self.till.answer(name)
        self.terminal.device.remove()
        return answer
