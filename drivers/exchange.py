"""Carries a card's dialogue over a reader within its deadlines: the one place where both meet."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from drivers.apdu import Outcome, Steps, transmit
from drivers.errors import CardSilent, ExchangeTimeout
from drivers.reader import Reader

Said = TypeVar("Said")
Heard = TypeVar("Heard")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a card may take, in seconds.

    A contact card at 9,600 bit/s needs 0.3 s for one full answer and about 0.5 s to sign; a person
    holds a card for about 2 s before taking it away. A card that takes frames answers each within
    0.1 s or never, and one of another family is silent: that is waited for ``frame_s``.
    """

    exchange_s: float = 1.0
    dialogue_s: float = 3.0
    frame_s: float = 0.4


def hold(
    dialogue: Steps[Outcome],
    reader: Reader,
    deadlines: Deadlines,
    now: Callable[[], float],
    *,
    extended: bool,
) -> Outcome:
    """Return what ``dialogue`` returns; its errors and the reader's pass through.

    ``now`` is a monotonic clock in seconds. ExchangeTimeout when one exchange or the whole takes
    too long. A failed exchange closes the dialogue, so that nothing of it goes on.
    """
    send = _within(reader, deadlines, deadlines.exchange_s, now)
    return _carry(dialogue, lambda command: transmit(command, send, extended=extended))


def hold_frames(
    dialogue: Generator[bytes, bytes, Outcome],
    reader: Reader,
    deadlines: Deadlines,
    now: Callable[[], float],
) -> Outcome:
    """As hold, with a card that takes frames of its own technology.

    CardSilent when it leaves the first one unanswered, and only then: whoever has answered knows
    what is spoken here, so that silence behind it is an ExchangeTimeout like any other.
    """
    send, answered = _within(reader, deadlines, deadlines.frame_s, now), False

    def say(frame: bytes) -> bytes:
        nonlocal answered
        try:
            answer = send(frame)
        except CardSilent as silence:
            if answered:
                raise ExchangeTimeout(silence.detail) from silence
            raise
        answered = True
        return answer

    return _carry(dialogue, say)


def _within(
    reader: Reader, deadlines: Deadlines, exchange_s: float, now: Callable[[], float]
) -> Callable[[bytes], bytes]:
    """Return what sends to ``reader`` until the time of a dialogue that begins now is over."""
    end = now() + deadlines.dialogue_s

    def send(command: bytes) -> bytes:
        left = end - now()
        if left <= 0:
            raise ExchangeTimeout(f"the dialogue took longer than {deadlines.dialogue_s} s")
        return reader.transmit(command, min(left, exchange_s))

    return send


def _carry(dialogue: Generator[Said, Heard, Outcome], say: Callable[[Said], Heard]) -> Outcome:
    try:
        said = next(dialogue)
        while True:
            said = dialogue.send(say(said))
    except StopIteration as finished:
        outcome: Outcome = finished.value
        return outcome
    finally:
        dialogue.close()
