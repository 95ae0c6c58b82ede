"""Tells the agent what a reader's supervisor tells, with the moment at which it sensed it."""

from __future__ import annotations

import time

from drivers.card import CardIdentity
from drivers.errors import DriverError
from drivers.loan import Loan
from drivers.supervise import Health, Supervisor
from edge.agent import Agent
from edge.purse import HeldPurse


class ReaderEvents:
    """Tells the agent of cards, with the moment at which the reader sensed them."""

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._supervisor: Supervisor | None = None

    def attach(self, agent: Agent, supervisor: Supervisor) -> None:
        """Pass on to ``agent`` what ``supervisor`` tells from now on."""
        self._agent, self._supervisor = agent, supervisor

    def health(self) -> str:
        """How the reader is."""
        return self._supervisor.health if self._supervisor else Health.OPENING

    def on_card(self, identity: CardIdentity, loan: Loan) -> None:
        """See drivers.supervise.Listener."""
        purse = None
        if identity.purse is None or self._agent is None:
            loan.release()
        else:
            purse = HeldPurse(identity.purse, loan, time.monotonic)
        if self._agent:
            self._agent.on_card(identity, self._sensed_s(), purse)

    def on_problem(self, problem: DriverError) -> None:
        """See drivers.supervise.Listener."""
        if self._agent:
            self._agent.on_problem(problem, self._sensed_s())

    def on_removed(self) -> None:
        """See drivers.supervise.Listener: the answer stays on the screen."""

    def _sensed_s(self) -> float:
        """When the supervisor's loop last turned: it does as soon as it senses a card."""
        return self._supervisor.turned_at if self._supervisor else time.monotonic()
