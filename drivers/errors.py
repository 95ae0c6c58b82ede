"""What can go wrong between a card, its reader and this program."""

from __future__ import annotations

from protocol.errors import ProductError


class DriverError(ProductError):
    """A device or a card failed. Never raised itself."""

    code = "driver"


class ReaderLost(DriverError):
    """The reader, its cable, or the program behind it is gone."""

    code = "reader_lost"
    what = "The card reader does not answer"
    kept = "Nothing was booked; it is being opened again."
    todo = "If it stays so, check its cable and power."


class ReaderRefused(DriverError):
    """A reader that this terminal must not use, or cannot use with what is installed."""

    code = "reader_refused"
    what = "The card reader must not be used here"
    kept = "Nothing was read from it."
    todo = "Correct the reader's entry in the terminal's configuration."


class ExchangeTimeout(DriverError):
    """An answer that did not come in time."""

    code = "exchange_timeout"
    what = "The card did not answer in time"
    kept = "Nothing was booked."
    todo = "Take the card away and present it again."


class CardSilent(ExchangeTimeout):
    """A card that leaves a frame unanswered and is there: it was just selected again."""


class CardGone(DriverError):
    """The card left the reader before its work was done."""

    code = "card_gone"
    what = "The card was taken away too early"
    kept = "Nothing was booked."
    todo = "Present the card again and hold it still."


class CardUnknown(DriverError):
    """No application on the card is known here."""

    code = "card_unknown"
    what = "This is not a member card"
    kept = "Nothing was booked."
    todo = "Present a member card, or one card alone."


class CardBlank(DriverError):
    """A card of ours that was never personalised, or only in part."""

    code = "card_blank"
    what = "This card has not been issued yet"
    kept = "Nothing was booked."
    todo = "Have it issued at the counter."


class CardIssued(DriverError):
    """A card that is personalised already."""

    code = "card_issued"
    what = "This card has been issued already"
    kept = "Nothing on it was changed."
    todo = "Take a blank card, or ask for this one to be issued again."


class CardForeign(DriverError):
    """A genuine card of another tenant."""

    code = "card_foreign"
    what = "This card belongs to another programme"
    kept = "Nothing was booked."
    todo = "Present a card of this shop."


class CardForged(DriverError):
    """A credential or a signature of the card that does not hold."""

    code = "card_forged"
    what = "The card could not prove that it is genuine"
    kept = "Nothing was booked."
    todo = "Keep the card's owner informed and have the card replaced."


class ChannelBroken(DriverError):
    """A MAC, padding or counter of a secured exchange that does not fit; the session is over."""

    code = "channel_broken"
    what = "What card and terminal said to each other was changed or lost its order"
    kept = "Nothing more was sent; what the card did before is settled at its next tap."
    todo = "Present the card again; if it stays so, have the card or the reader replaced."


class CardExpired(DriverError):
    """A genuine card after its last day."""

    code = "card_expired"
    what = "The card has expired"
    kept = "Nothing was booked; the balance is kept with the member."
    todo = "Have the card renewed at the counter."


class CodeStale(DriverError):
    """A code on a phone that is not of this time."""

    code = "code_stale"
    what = "This code is not of this time"
    kept = "Nothing was booked."
    todo = "Show the code that the phone shows now, with its clock set by the network."


class CodeUsed(DriverError):
    """A code on a phone that was shown here before, or that may have been."""

    code = "code_used"
    what = "This code has been used"
    kept = "Nothing more was booked."
    todo = "Wait for the next code: half a minute at most."


class CardRefused(DriverError):
    """A status word with which the card refused a command, or an answer that is no answer."""

    code = "card_refused"
    what = "The card refused a command"
    kept = "Nothing was booked."
    todo = "Present it again; if it stays so, have the card replaced."

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(detail)
        self.status = status


class PrinterLost(DriverError):
    """The receipt printer, its cable or its network is gone, or it takes too long."""

    code = "printer_lost"
    what = "The receipt printer does not answer"
    kept = "The sale stands; its receipt can be printed later."
    todo = "Check the printer's cable and power, then ask for the receipt again."


class PrinterPaper(DriverError):
    """The receipt printer has no paper."""

    code = "printer_paper"
    what = "The receipt printer has no paper"
    kept = "The sale stands; its receipt waits."
    todo = "Put a new roll in."


class PrinterRefused(DriverError):
    """A printer's entry in the configuration, or a receipt, that means nothing."""

    code = "printer_refused"
    what = "The receipt cannot be printed here"
    kept = "The sale stands."
    todo = "Correct the printer's entry in the terminal's configuration."
