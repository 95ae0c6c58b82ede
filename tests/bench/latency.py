"""How long a tap takes on real links and cards: a model that draws from latency.toml.

It knows no card and no reader: it is given what they said to each other, byte by byte.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

DATA = Path(__file__).with_name("latency.toml")

_LINE_BYTE_BITS = 10  # on a UART: start, 8, stop
_BLOCK_BYTES = 1  # what ISO/IEC 14443-4 puts before an APDU without CID and NAD
_GET_RESPONSE_BYTES = 5
_PROCEDURE_BYTES = 1


@dataclass(frozen=True, slots=True)
class Exchange:
    """One command and its answer, as bytes in the air or on the contacts, without checksums."""

    said: bytes
    heard: bytes


@dataclass(frozen=True, slots=True)
class HostCommand:
    """One command to a reader's chip: bytes on its line both ways, and what it said to the card."""

    line_bytes: int
    air: Exchange | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Milliseconds of one tap, by who takes them."""

    card: float
    link: float


class Latency:
    """The data with a source of randomness: each call draws anew."""

    def __init__(self, seed: int, data: Path = DATA) -> None:
        self._data = tomllib.loads(data.read_text())
        self._random = Random(seed)

    @property
    def cards(self) -> Iterable[str]:
        """Names of the cards that it has times of."""
        names: Iterable[str] = self._data["cards"].keys()
        return names

    def by_pn532(
        self, card: str, commands: Sequence[HostCommand], link_name: str = "pn532"
    ) -> Split:
        """A tap through a PN532 on a line of that name."""
        link = self._data["links"]["pn532"] | self._data["links"][link_name]
        spent, on_card = 0.0, 0.0
        for command in commands:
            spent += command.line_bytes * _LINE_BYTE_BITS / link["baud"] * 1e3
            spent += self._draw(link.get("wait_ms", (0.0, 0.0)))
            spent += self._draw(link["exchange_ms" if command.air else "register_ms"])
            if command.air:
                spent += self._in_air(card, command.air)
                on_card += self._on_card(card, command.air.said, in_block=True)
        return Split(on_card, spent)

    def by_ccid(self, card: str, exchanges: Sequence[Exchange]) -> Split:
        """A tap through a contactless PC/SC reader; each APDU is one block."""
        link = self._data["links"]["ccid"]["exchange_ms"]
        spent = sum(self._draw(link) + self._in_air(card, each) for each in exchanges)
        return Split(self._on_cards(card, exchanges), spent)

    def by_contacts(self, card: str, exchanges: Sequence[Exchange], protocol: str) -> Split:
        """A tap over contacts, ``protocol`` t0 or t1, a block each APDU."""
        link = self._data["links"][protocol]
        spent = 0.0
        for each in exchanges:
            count = len(each.said) + len(each.heard)
            if protocol == "t0":
                more = len(each.heard) > 2
                count += _PROCEDURE_BYTES + more * (2 + _GET_RESPONSE_BYTES + _PROCEDURE_BYTES)
            else:
                count += 2 * link["block_bytes"]
            spent += count * link["byte_bits"] / link["bit_rate"] * 1e3
            spent += self._draw(link["exchange_ms"])
        return Split(self._on_cards(card, exchanges), spent)

    def pause(self) -> float:
        """Milliseconds for which a card lies there before it is looked for."""
        return self._draw(self._data["finding"]["pause_ms"])

    def _on_cards(self, card: str, exchanges: Sequence[Exchange]) -> float:
        return sum(self._on_card(card, each.said, in_block=False) for each in exchanges)

    def _in_air(self, card: str, exchange: Exchange) -> float:
        air = self._data["air"]["felica" if card == "felica" else "type_a"]
        bits = sum(
            (len(part) + air["checksum_bytes"]) * air["byte_bits"] + air["frame_bits"]
            for part in (exchange.said, exchange.heard)
        )
        return float(bits / air["bit_rate"] * 1e3)

    def _on_card(self, card: str, said: bytes, *, in_block: bool) -> float:
        """``in_block``: an APDU has its block's first byte before it."""
        times = self._data["cards"][card]
        if card.startswith("ultralight"):
            code = said[:1]
        elif card == "felica":
            code = said[1:2]
        else:
            start = _BLOCK_BYTES if in_block else 0
            code = said[start + 1 : start + 2]
        return self._draw(times.get(code.hex().upper(), times["other"])["ms"])

    def _draw(self, limits: Sequence[float]) -> float:
        return self._random.uniform(limits[0], limits[1])


def every_figure(data: Path = DATA) -> list[dict[str, Any]]:
    """All tables of the data that hold figures, for the test that each names a source."""
    found: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = [tomllib.loads(data.read_text())]
    while waiting:
        table = waiting.pop()
        below = [value for value in table.values() if isinstance(value, dict)]
        waiting += below
        if len(below) < len(table):
            found.append(table)
    return found
