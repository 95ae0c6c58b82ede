"""What can go wrong at the provisioning station."""

from __future__ import annotations

from protocol.errors import ProductError


class ProvisioningError(ProductError):
    """A step of setting up a site failed. Never raised itself."""

    code = "provisioning"


class AuthorityThere(ProvisioningError):
    """A folder that holds an authority already."""

    code = "authority_there"
    what = "There is an authority in this folder already"
    kept = "Its keys were not touched."
    todo = "Use it, or name another folder."


class AuthorityMissing(ProvisioningError):
    """A folder without an authority, or with half of one."""

    code = "authority_missing"
    what = "There is no whole authority in this folder"
    kept = "Nothing was changed."
    todo = "Run `authority init`, or name the right folder; restore a missing key from its backup."


class BadRequest(ProvisioningError):
    """A certificate request that is not what was asked for."""

    code = "bad_certificate_request"
    what = "A certificate request cannot be signed"
    kept = "No certificate was issued."
    todo = "Make the request again on the terminal it is for."


class TerminalThere(ProvisioningError):
    """A terminal id whose folder is in use."""

    code = "terminal_there"
    what = "This folder holds an enrolled terminal already"
    kept = "Its keys and its journal were not touched."
    todo = "Name an empty folder."


class TerminalMissing(ProvisioningError):
    """A folder that is no terminal's."""

    code = "terminal_missing"
    what = "This folder holds no enrolled terminal"
    kept = "Nothing was changed."
    todo = "Name the terminal's folder, or run `terminal enrol`."


class SiteWithoutPlace(ProvisioningError):
    """A site for whose key cards have no place left."""

    code = "site_without_place"
    what = "Cards have no place left for a key of this site"
    kept = "Nothing was changed."
    todo = "Go on without: cards that sign and codes on phones work there."


class ConfigurationOwn(ProvisioningError):
    """An edge.toml that a person has written in another way than we do."""

    code = "configuration_own"
    what = "This edge.toml is not ours to change"
    kept = "The key's file is written; the configuration was not touched."
    todo = "Write the line into it that stands above, then restart the agent."


class NotListed(ProvisioningError):
    """A terminal that never had a certificate here, or was withdrawn."""

    code = "not_listed"
    what = "The authority does not list this terminal"
    kept = "Nothing was changed."
    todo = "Check the id with `terminal list`; a withdrawn device is enrolled under a new id."


class BrokerMissing(ProvisioningError):
    """A broker program that is not installed."""

    code = "broker_missing"
    what = "The MQTT broker is not installed here"
    kept = "Nothing was started."
    todo = "Install it, or choose the other broker."


class DidNotStart(ProvisioningError):
    """A program that ended, or that was not ready in time."""

    code = "did_not_start"
    what = "A program did not become ready"
    kept = "What it had stored is kept in its folder."
    todo = "Read the end of its log."


class CloudUnreachable(ProvisioningError):
    """The cloud does not answer at all."""

    code = "cloud_unreachable"
    what = "The cloud does not answer"
    kept = "The step was not done, or it was done and can be repeated."
    todo = "Check the address and that the cloud runs, then run the same command again."


class CloudRefused(ProvisioningError):
    """The cloud answered with an error; its own code stands in the detail."""

    code = "cloud_refused"
    what = "The cloud refused"
    kept = "Nothing was changed there; keys made here are kept, and used by the next attempt."
    todo = "Do what the cloud says, then run the same command again."

    def __init__(self, status: int, reason: str, said: str = "") -> None:
        super().__init__(f"{status} {reason}: {said}" if said else f"{status} {reason}")
        self.status, self.reason = status, reason


class NoCard(ProvisioningError):
    """No card was presented in time."""

    code = "no_card"
    what = "No card was presented"
    kept = "Nothing was written."
    todo = "Put the card on the reader and run the command again."


class CardRegisteredOtherwise(ProvisioningError):
    """The cloud knows this card as another member's."""

    code = "card_of_another_member"
    what = "This card belongs to another member already"
    kept = "The card and its registration were not changed."
    todo = "Take another card, or cancel this one in the console first."


class BadPhoneKey(ProvisioningError):
    """A phone's public key that is none."""

    code = "bad_phone_key"
    what = "This is not the public key of a phone"
    kept = "Nothing was issued."
    todo = "Take it from the phone again: a P-256 point of 33 bytes, 66 hex characters."


class SiteUnnamed(ProvisioningError):
    """A card that needs the key of a site, and nobody said of which."""

    code = "site_unnamed"
    what = "It is not clear at which site this card shall be known"
    kept = "Nothing was written."
    todo = "Name the site with --site, or enrol its first terminal."


class CardNotAsWritten(ProvisioningError):
    """A card that a terminal would take for something else than was written."""

    code = "card_not_as_written"
    what = "A terminal does not see on this card what was to be written"
    kept = "The card was not registered."
    todo = "Present it again with the same command; if it stays so, take another card."


class CardProvable(ProvisioningError):
    """A card that can do better than tell its number."""

    code = "card_provable"
    what = "This card is more than a number"
    kept = "It was not registered."
    todo = "Make it a member card with `card personalise`."


class LinkTooLong(ProvisioningError):
    """An address of the cloud that does not fit into a tag with all that stands behind it."""

    code = "link_too_long"
    what = "The link does not fit into the tag"
    kept = "Nothing on the tag was changed."
    todo = "Give the cloud a shorter address. In LRP mode a link is 16 characters longer."


class NoPurse(ProvisioningError):
    """A card that holds no money."""

    code = "no_purse"
    what = "This card has no purse"
    kept = "Nothing was loaded."
    todo = "Take the money at a till: it goes to the member's balance."


class LoadTooLarge(ProvisioningError):
    """More than the purse can hold, or nothing."""

    code = "load_too_large"
    what = "The purse cannot take this amount"
    kept = "Nothing was loaded."
    todo = "Load less."


class LoadTorn(ProvisioningError):
    """A card that left while money was put on it."""

    code = "load_torn"
    what = "The card left while it was being loaded"
    kept = "What was asked for is written down: it is on the card once or not at all."
    todo = "Run the same command with the same card before anything else is done with it."


class LoadUnclear(ProvisioningError):
    """A card that cannot tell any more what became of an earlier load."""

    code = "load_unclear"
    what = "The card cannot tell what became of an earlier load"
    kept = "Nothing more was loaded; the earlier load is still written down."
    todo = "Compare the card with the cloud, then remove its file in the authority's folder loads."


class CounterSilent(ProvisioningError):
    """A terminal that does not answer its till as agreed."""

    code = "counter_silent"
    what = "A terminal does not answer its till"
    kept = "What it has on disk is kept; the order can be asked for again."
    todo = "Read the terminal's log."


class DayUnfinished(ProvisioningError):
    """The demo did not come to its end."""

    code = "day_unfinished"
    what = "The demo's day did not come to its end"
    kept = "Journals, ledger and logs are kept in its folder."
    todo = "Read the logs in the folder, or run it again with the same seed."


class FolderInUse(ProvisioningError):
    """A folder that should be empty and is not."""

    code = "folder_in_use"
    what = "The folder is not empty"
    kept = "Nothing in it was touched."
    todo = "Name a folder that is empty or not there yet."


class BrokenInvariant(ProvisioningError):
    """The verdict found what must not be."""

    code = "invariant_broken"
    what = "The journals and the ledger do not say the same"
    kept = "Both, and every log, are kept in the folder."
    todo = "Look at the counts above, then into the logs."
