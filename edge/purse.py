"""The purse of the card that lies on the reader, and what the journal says of its debits.

The intent of a debit is on disk before the card is asked. A debit whose answer was lost is settled
when the card comes back: as the sale that it was for, or, when nobody waits for that any more, as
money paid in to the member's account, since no terminal can put money back on a card.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from drivers.apdu import Outcome, Steps
from drivers.loan import Loan
from drivers.purse import CardPurse, Charge, Debited, Fate, Settled
from edge.draft import Draft, draft_of
from protocol.membership.event import CARD_IN_DOUBT, CARD_NOT_DEBITED, CARD_TORN
from protocol.record import Card, Kind, Record


class HeldPurse:
    """A purse within reach; ``card_s`` is the time that its card took so far.

    Each method raises DriverError when the card, its reader or its loan is gone.
    """

    def __init__(self, purse: CardPurse, loan: Loan, mono_s: Callable[[], float]) -> None:
        self._purse, self._loan, self._mono_s = purse, loan, mono_s
        self.card_s = 0.0

    def prepare(self, charge: Charge) -> bytes:
        """See CardPurse."""
        return self._carry(self._purse.prepare(charge))

    def debit(self, intent: bytes) -> Debited:
        """See CardPurse."""
        return self._carry(self._purse.debit(intent))

    def fate(self, intent: bytes) -> Settled:
        """See CardPurse."""
        return self._carry(self._purse.fate(intent))

    def release(self) -> None:
        """Let the card go."""
        self._loan.release()

    def _carry(self, dialogue: Steps[Outcome]) -> Outcome:
        begun_s = self._mono_s()
        try:
            return self._loan.carry(dialogue)
        finally:
            self.card_s += self._mono_s() - begun_s


def paid(card: Card, debited: Debited) -> Card:
    """Return ``card`` as it is after its purse paid."""
    return structs.replace(
        card,
        counter=debited.counter,
        balance_after=debited.balance_after,
        proof=debited.proof,
    )


def torn(meant: Record) -> Draft:
    """Return the event that it is not known whether ``meant`` happened."""
    return _event(meant, meant.card, CARD_TORN)


def settlement(meant: Record, settled: Settled, seen: Card, *, still_wanted: bool) -> Draft:
    """Return what is to be said of ``meant`` now that its card was ``seen`` again.

    A SALE or TOP_UP bears the transaction id of ``meant``. ``still_wanted``: its order waits.
    """
    if settled.debited is None or meant.card is None:
        return _event(
            meant, seen, CARD_IN_DOUBT if settled.fate is Fate.UNKNOWN else CARD_NOT_DEBITED
        )
    card = paid(meant.card, settled.debited)
    if still_wanted:
        return draft_of(meant)._replace(card=card)
    return _no_sale(meant)._replace(kind=Kind.TOP_UP, card=card, reason=CARD_TORN)


def _event(meant: Record, card: Card | None, reason: str) -> Draft:
    """Return the event about ``meant``; it names the order, which stays free for its answer."""
    return _no_sale(meant)._replace(
        kind=Kind.CARD_EVENT, card=card, refers_to=meant.tid, reason=reason, note=meant.order
    )


def _no_sale(meant: Record) -> Draft:
    """Return what is left of ``meant`` when nothing was sold."""
    return draft_of(meant)._replace(lines=(), earned=0, offline_left=None, order="")
