"""The cloud's error tree: what an operator, a technician or an integrator can meet."""

from __future__ import annotations

from protocol.errors import ProductError


class CloudError(ProductError):
    """Something that the cloud refuses or cannot do. Never raised itself."""

    code = "cloud"


class BadConfig(CloudError):
    """A configuration file that does not say what is needed."""

    code = "bad_config"
    what = "The configuration cannot be used"
    kept = "Nothing was started or changed."
    todo = "Correct the named setting."


class NotInitialised(CloudError):
    """No keys yet."""

    code = "not_initialised"
    what = "This cloud has no keys yet"
    todo = "Run `init` once."


class AlreadyInitialised(CloudError):
    """Keys are there: making new ones would cut off every terminal."""

    code = "already_initialised"
    what = "This cloud has its keys already"
    todo = "Run `migrate` after an update; create tokens with `token create`."


class WrongSchema(CloudError):
    """A database of another version than this program's."""

    code = "wrong_schema"
    what = "The database has another version than this program"
    todo = "Run `migrate`."


class StorageDown(CloudError):
    """The database does not answer."""

    code = "storage_down"
    what = "The database does not answer"
    kept = "Nothing was acknowledged; terminals keep their records and send them again."
    todo = "Check the database server, its disk and the address in the configuration."


class UnknownTerminal(CloudError):
    """A terminal that was never enrolled."""

    code = "unknown_terminal"
    what = "No terminal has this id"
    todo = "Check the id, or enrol the terminal."


class TerminalExists(CloudError):
    """A second enrolment under one id."""

    code = "terminal_exists"
    what = "A terminal with this id is enrolled"
    todo = "Open a new epoch for it, or choose another id."


class TerminalRevoked(CloudError):
    """A revoked terminal gets nothing new."""

    code = "terminal_revoked"
    what = "This terminal is revoked"
    kept = "It may still hand in its journal."
    todo = "Enrol it under a new id."


class UnknownToken(CloudError):
    """A token that was never made, or was ended before."""

    code = "unknown_token"
    what = "No token that is valid has this id"
    todo = "Look for it with: tapledger-cloud token list"


class UnknownMember(CloudError):
    """A member that nobody knows."""

    code = "unknown_member"
    what = "No member has this id"
    todo = "Check the id."


class MemberExists(CloudError):
    """A second member under one id."""

    code = "member_exists"
    what = "A member with this id exists"
    todo = "Use it, or choose another id."


class UnknownCard(CloudError):
    """A card that nobody issued."""

    code = "unknown_card"
    what = "No card has this reference"
    todo = "Check the reference, or issue the card."


class CardExists(CloudError):
    """A second card under one reference."""

    code = "card_exists"
    what = "A card with this reference is issued"
    todo = "Use it, or cancel it and issue another card."


class TagCopied(CloudError):
    """A tag's message that came before, or is older than one that came."""

    code = "tag_copied"
    what = "This message of the card was shown before"
    kept = "Nothing was booked."
    todo = "Hold the card to the phone once more; a page that is opened again proves nothing."


class CardCancelled(CloudError):
    """A cancelled card stays cancelled."""

    code = "card_cancelled"
    what = "A cancelled card cannot be used again"
    todo = "Issue another card."


class UnknownBundle(CloudError):
    """A bundle that was never published."""

    code = "unknown_bundle"
    what = "No bundle has this number"
    todo = "Check the number."


class BundleExists(CloudError):
    """A number that is not above the newest bundle's."""

    code = "bundle_exists"
    what = "A bundle's number must be above that of the newest one"
    todo = "Leave the number out, or choose a higher one."


class NotKeptApart(CloudError):
    """A record that is booked, or was never kept apart in its place."""

    code = "not_kept_apart"
    what = "The ledger does not keep this record apart"
    kept = "Nothing was booked twice."
    todo = "Look at the record: somebody may have taken it before."


class NotAcceptable(CloudError):
    """A record against which more speaks than an epoch that was closed."""

    code = "not_acceptable"
    what = "This record cannot be booked"
    kept = "It stays where it is kept apart."
    todo = "Remove what speaks against it, if it can be: issue the card, for example."


class UnknownRecord(CloudError):
    """A record that is not in the ledger."""

    code = "unknown_record"
    what = "The ledger has no such record"
    todo = "Check terminal, epoch and sequence number; a terminal may not have sent it yet."
