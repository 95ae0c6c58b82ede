"""The error tree of the agreement, and the form that every error of the product has."""

from __future__ import annotations

from typing import ClassVar


class ProductError(Exception):
    """What happened, what was kept safe, and what to do, under a code that never changes.

    Never raised itself. A child sets the four class attributes; ``detail`` adds the facts of the
    single case (never a secret, never a raw card number).
    """

    code: ClassVar[str] = "product"
    what: ClassVar[str] = "Something failed"
    kept: ClassVar[str] = "Nothing was changed."
    todo: ClassVar[str] = "Report this code."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        facts = f" ({self.detail})" if self.detail else ""
        return f"{self.code}: {self.what}{facts}. {self.kept} {self.todo}"


class ProtocolError(ProductError):
    """A message or value that the other side could not have meant. Never raised itself."""

    code = "protocol"


class Malformed(ProtocolError):
    """Bytes that are not a message of the expected type."""

    code = "malformed"
    what = "A message could not be read"
    kept = "It was refused whole; nothing of it took effect."
    todo = "Compare the versions of terminal and cloud."


class TooLarge(ProtocolError):
    """A message above its limit."""

    code = "too_large"
    what = "A message is larger than its limit"
    kept = "It was refused whole; nothing of it took effect."
    todo = "Send it in smaller pieces."


class WrongVersion(ProtocolError):
    """A message of a wire version that this program does not speak."""

    code = "wrong_version"
    what = "A message has a wire version that this program does not speak"
    kept = "It was refused whole; its sender keeps it."
    todo = "Update the older side."


class BadSignature(ProtocolError):
    """A signature that does not fit the bytes, the key or the purpose."""

    code = "bad_signature"
    what = "A signature does not fit"
    kept = "The message was refused whole."
    todo = "Check which key signed it; a terminal may have to be enrolled again."


class UnknownKey(BadSignature):
    """A signature by a key that nobody here trusts."""

    code = "unknown_key"
    what = "A message is signed by a key that is not trusted here"


class SunRefused(BadSignature):
    """A tag's message that no tag of ours wrote: wrong MAC, wrong key, or not such a message."""

    code = "sun_refused"
    what = "The tag's message could not be verified"
    kept = "Nothing was booked."
    todo = "Read the tag once more; if it stays so, have it replaced."


class CodeForeign(ProtocolError):
    """A phone's code of another tenant."""

    code = "code_foreign"
    what = "This code belongs to another programme"
    kept = "Nothing was booked."
    todo = "Show a code of this shop."


class CodeExpired(ProtocolError):
    """A phone's code after the last day of its card."""

    code = "code_expired"
    what = "The card on this phone has expired"
    kept = "Nothing was booked; the balance is kept with the member."
    todo = "Have the card renewed in the app."


class CodeStale(ProtocolError):
    """A phone's code outside its time."""

    code = "code_stale"
    what = "This code is not of this time"
    kept = "Nothing was booked."
    todo = "Show the code that the phone shows now, with its clock set by the network."


class CodeUsed(ProtocolError):
    """A phone's code that was shown here before, or that may have been."""

    code = "code_used"
    what = "This code has been used"
    kept = "Nothing more was booked."
    todo = "Wait for the next code: half a minute at most."


class BrokenChain(ProtocolError):
    """A record that does not follow the one before it."""

    code = "broken_chain"
    what = "A record does not follow the one before it"
    kept = "Records before it stand; this one and those behind it wait."
    todo = "Ask the terminal for the missing records."


class BadTopic(ProtocolError):
    """A topic outside the topic map."""

    code = "bad_topic"
    what = "A topic is not part of the topic map"
    kept = "The message was refused."
    todo = "Check tenant, site and terminal ids: lower-case letters, digits, hyphen."


class BadBundle(ProtocolError):
    """A price and rule bundle that contradicts itself or names what nobody knows."""

    code = "bad_bundle"
    what = "A price and rule bundle is wrong"
    kept = "The bundle in force stays in force."
    todo = "Correct the named place and publish again."


class UnknownProduct(ProtocolError):
    """A product that the bundle in force has no price for."""

    code = "unknown_product"
    what = "A product has no price in the bundle in force"
    kept = "Nothing was charged."
    todo = "Check the product code, or publish a bundle that has it."


class BadAmount(ProtocolError):
    """An amount, quantity or number of points outside what one transaction may hold."""

    code = "bad_amount"
    what = "An amount is outside what one transaction may hold"
    kept = "Nothing was charged."
    todo = "Correct the amount."


class PluginError(ProtocolError):
    """A plug-in file without the constant that makes it one."""

    code = "bad_plugin"
    what = "A plug-in file does not define what makes it one"
    kept = "The program did not start."
    todo = "Define the named constant in the named file, or remove the file."
