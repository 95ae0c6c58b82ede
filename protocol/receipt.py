"""What stands on a receipt, whatever prints it: its number, and the proof in its QR code.

The proof names a record by its hash, so paper that was altered names none. It holds nothing of the
member and, being no signature, says nothing by itself: the journal or the ledger confirms it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from protocol import base45
from protocol.codec import decode, encode
from protocol.errors import Malformed, TooLarge
from protocol.record import Code, Hash

PREFIX = "TR1:"
# A terminal's name of 40 characters and the largest numbers make 162.
CHARACTERS_MAX = 200


class Proof(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """The record that a receipt is of; ``hash`` is SHA-256 of its signed bytes."""

    version: int = 1
    terminal: Code
    epoch: Annotated[int, Meta(ge=1, lt=1 << 31)]
    seq: Annotated[int, Meta(ge=1, lt=1 << 53)]
    hash: Hash


def receipt_number(terminal: str, epoch: int, seq: int) -> str:
    """Number without gaps per terminal: its place in the journal is its number."""
    return f"{terminal}-{epoch}-{seq}"


def proof_text(proof: Proof) -> str:
    """Return the text of the QR code."""
    return PREFIX + base45.encode(encode(proof))


def read_proof(text: str) -> Proof:
    """Return what a scanned text names; Malformed and TooLarge for what is no proof."""
    if len(text) > CHARACTERS_MAX:
        raise TooLarge(f"{len(text)} characters")
    if not text.startswith(PREFIX):
        raise Malformed(f"not a code that begins with {PREFIX}")
    return decode(base45.decode(text.removeprefix(PREFIX)), Proof)
