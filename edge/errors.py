"""The error tree of the terminal's agent."""

from __future__ import annotations

from protocol.errors import ProductError
from protocol.membership.event import CARD_TORN


class EdgeError(ProductError):
    """Something on the terminal failed. Never raised itself."""

    code = "edge"


class BadConfig(EdgeError):
    """The configuration file, or a file that it names, cannot be used."""

    code = "bad_config"
    what = "The terminal's configuration cannot be used"
    kept = "The agent did not start; the journal was not touched."
    todo = "Correct the named key, then run 'tapledger-edge check-config'."


class InUse(EdgeError):
    """What the terminal needs is held by another program, perhaps its own predecessor."""

    code = "in_use"
    what = "Another program has what the terminal needs"
    kept = "The agent did not start; the journal was not touched."
    todo = "End the other program; under systemd the agent tries again by itself."


class BadOrder(EdgeError):
    """An order that contradicts itself."""

    code = "bad_order"
    what = "The order cannot be carried out as it is written"
    kept = "Nothing was booked."
    todo = "Correct the named part and place it under a new order id."


class OrderBusy(EdgeError):
    """Another order waits for its card, or is being booked."""

    code = "order_busy"
    what = "Another order waits at this terminal"
    kept = "That order stays as it is; nothing was booked."
    todo = "Finish or cancel it first."


class OrderReused(EdgeError):
    """An order id under which this terminal knows an order with other content."""

    code = "order_reused"
    what = "This order id names another order"
    kept = "That order and its answer stay as they are; nothing was booked now."
    todo = "Place this order under an id of its own."


class OrderUnknown(EdgeError):
    """An order id that the terminal has never booked and does not hold now."""

    code = "order_unknown"
    what = "This terminal knows no such order"
    kept = "Nothing was booked under this id."
    todo = "Place the order again."


class CannotAccept(EdgeError):
    """The terminal must not take an order: its disk refuses, or it was locked or stopped."""

    code = "cannot_accept"
    what = "This terminal cannot accept orders now"
    kept = "Nothing was booked; what was booked before is safe."
    todo = "See the terminal's status for the reason."


class CardTorn(EdgeError):
    """A card left, or its reader did, while its purse was being debited."""

    code = CARD_TORN
    what = "It is not known yet whether the card paid"
    kept = "The journal knows what the card was asked for; it will never be asked for it twice."
    todo = "Present the same card again: it tells."


class JournalRefused(EdgeError):
    """The disk did not take a record: nothing may be promised to anybody."""

    code = "journal_refused"
    what = "The journal could not be written"
    kept = "Records written before are safe; this one was not confirmed to anybody."
    todo = "Free space on the disk or replace it; the agent tries again by itself."


class JournalBroken(EdgeError):
    """The journal's newest records do not verify."""

    code = "journal_broken"
    what = "The journal does not verify"
    kept = "The file was left as it is."
    todo = (
        "Move the file aside for an operator, run 'tapledger-provision terminal epoch' on the"
        " terminal's folder, and start the agent again."
    )


class JournalForeign(EdgeError):
    """A journal of another terminal, or of a later epoch than the grant."""

    code = "journal_foreign"
    what = "The journal does not belong to this terminal and grant"
    kept = "The file was left as it is."
    todo = "Check data_dir and the grant in the configuration."


class CacheRefused(EdgeError):
    """The disk did not take a member list or a bundle."""

    code = "cache_refused"
    what = "A list or bundle could not be stored"
    kept = "The one before it stays in force."
    todo = "Free space on the disk; the cloud sends it again."


class TimeAhead(EdgeError):
    """A word of the cloud that is far ahead of a clock which the network keeps in step."""

    code = "time_ahead"
    what = "The cloud's clock is far ahead of this terminal's"
    kept = "Its word was refused whole; what was booked waits for the next one."
    todo = "Correct the clock of the cloud, or that of this terminal."


class TokenWrong(EdgeError):
    """A till without the terminal's token."""

    code = "token_wrong"
    what = "The bearer token is missing or wrong"
    kept = "Nothing was read or changed."
    todo = "Send the token of this terminal's configuration in the Authorization header."


class ForeignPage(EdgeError):
    """A request that a page of another origin made, or that names this terminal otherwise."""

    code = "foreign_page"
    what = "This address serves the terminal's own page alone"
    kept = "Nothing was read or changed."
    todo = "Open the page on the terminal itself, under 127.0.0.1."


class BadBody(EdgeError):
    """A request whose body, path or query is not what the address takes."""

    code = "bad_body"
    what = "The request is not what this address takes"
    kept = "Nothing was booked."
    todo = "Correct the named place and send it again."


class UnknownField(BadBody):
    """A request with a field that nobody here would read."""

    code = "unknown_field"
    what = "The request has a field that this address does not know"
    todo = "Remove the named field, or update the terminal."


class UnknownAddress(EdgeError):
    """A path or method that is not served."""

    code = "unknown_address"
    what = "There is nothing under this address and method"
    kept = "Nothing was changed."
    todo = "Check the address."


class TooManyPages(EdgeError):
    """More live pages than a terminal has screens for."""

    code = "too_many_pages"
    what = "Too many pages of this terminal are open"
    kept = "The pages that are open go on."
    todo = "Close one and reload."


class NoPrinter(EdgeError):
    """A receipt is wanted of a terminal without a printer."""

    code = "no_printer"
    what = "This terminal has no receipt printer"
    kept = "The sale stands."
    todo = "Name a printer in the terminal's configuration, or show the receipt's number."


class NoReceipt(EdgeError):
    """A receipt is wanted of an order that has none."""

    code = "no_receipt"
    what = "This order has no receipt"
    kept = "Nothing was printed."
    todo = "Ask for the receipt of an order that was approved."


class ReceiptForeign(EdgeError):
    """The code on a receipt names no record of this journal."""

    code = "receipt_foreign"
    what = "This receipt is not of this terminal's journal"
    kept = "Nothing was changed."
    todo = "Look at the terminal that its number names, or for its record in the console."


class ReceiptUnasked(EdgeError):
    """A receipt that nobody asked for, or that waited in vain for a printer."""

    code = "receipt_unasked"
    what = "This receipt does not wait for the printer and was not printed"
    kept = "The sale stands."
    todo = "Ask for it with POST."


class ReceiptsRefused(EdgeError):
    """The disk did not take what is to be printed."""

    code = "receipts_refused"
    what = "The receipt could not be queued"
    kept = "The sale stands; nothing was printed now."
    todo = "Free space on the terminal's disk, then ask for the receipt again."
