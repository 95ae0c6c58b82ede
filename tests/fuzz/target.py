"""What is fuzzed, and how bytes are made that are nearly right."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from protocol.errors import ProductError

CORPUS = Path(__file__).with_name("corpus")
# Bytes at which parsers turn off: ends of ranges, signs of more, of length, of absence.
_TURNS = (0x00, 0x01, 0x0F, 0x10, 0x1F, 0x61, 0x6C, 0x7F, 0x80, 0x81, 0x84, 0x90, 0xAF, 0xFE, 0xFF)
_CHANGES_MAX = 6
_NOISE_MAX = 80


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` may return anything or raise one of ``refusals``; whatever else it does is a fault.

    ``seeds`` are inputs that get far.
    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refusals: tuple[type[Exception], ...] = (ProductError,)

    def outcome(self, data: bytes) -> tuple[str, ...]:
        """What came of ``data``: nothing, or which refusal from which lines."""
        try:
            self.run(data)
        except self.refusals as error:
            frames = traceback.extract_tb(error.__traceback__)[-3:]
            return (type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in frames))
        return ()


def found_before(name: str) -> list[bytes]:
    """Inputs of this target that were once a fault, a line each, in hexadecimal digits."""
    path = CORPUS / f"{name}.txt"
    return [bytes.fromhex(line) for line in path.read_text().split()] if path.exists() else []


class Explorer:
    """Gives a target input after input: its seeds, then changes of what ended in a new way.

    ``data`` is the last input; ``outcomes`` are the ways in which inputs ended.
    """

    def __init__(self, target: Target, random: Random) -> None:
        self._target, self._random = target, random
        self._seeds = list(target.seeds)
        self._pool = [*target.seeds] or [b""]
        self.data = b""
        self.outcomes = set[tuple[str, ...]]()

    def step(self) -> None:
        """Try the next input; a fault of the target passes through."""
        self.data = self._seeds.pop() if self._seeds else changed(self._random, self._pool)
        outcome = self._target.outcome(self.data)
        if outcome not in self.outcomes:
            self.outcomes.add(outcome)
            self._pool.append(self.data)


def changed(random: Random, pool: Sequence[bytes]) -> bytes:
    """Some input, with a few changes; now and then plain noise."""
    if random.random() < 0.1:
        return random.randbytes(random.randrange(_NOISE_MAX))
    data = bytearray(random.choice(pool))
    for _ in range(random.randint(1, _CHANGES_MAX)):
        at = random.randrange(len(data) + 1)
        match random.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << random.randrange(8)
            case 1 if at < len(data):
                data[at] = random.choice(_TURNS)
            case 2:
                data[at:at] = random.randbytes(random.randint(1, 4))
            case 3:
                del data[at : at + random.randint(1, 8)]
            case 4:
                data[at:at] = data[at : at + random.randint(1, 16)]
            case _:
                other = random.choice(pool)
                data[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(data)
