"""Every dialogue with a card, held with a card that answers wrong: each a target.

The card is the software card of the family, so that a dialogue gets far; the input says what
becomes of each of its answers. A dialogue must end, and with a refusal of ours or a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from drivers.card import CardTrust, Dialogue
from drivers.cards import desfire, felica, file_card, ntag424, pboc_purse, ultralight
from drivers.desfire.layout import CREDIT_KEY
from drivers.desfire.purse import credit, fate, open_purse
from drivers.errors import CardGone, DriverError
from drivers.exchange import Deadlines, hold, hold_frames
from drivers.personalise import personalise as personalise_cpu
from drivers.personalise_desfire import personalise as personalise_desfire
from drivers.personalise_pboc import personalise as personalise_pboc
from drivers.purse import Charge
from drivers.reader import Presented, Reader, Technology
from drivers.virtual.cards.felica import FelicaCard
from drivers.virtual.cards.felica_state import FelicaState
from drivers.virtual.cards.ntag424 import Ntag424Card
from drivers.virtual.cards.ntag424_state import Ntag424State
from drivers.virtual.faults import FrameCard, VirtualCard
from protocol.desfire_purse import key_input
from protocol.sun_link import template
from tests.bench.family_taps import TAPS
from tests.drivers import (
    desfire_world,
    file_card_world,
    javacard_world,
    purse_world,
    test_felica,
    test_ntag424,
    test_personalise_pboc,
    test_ultralight,
)
from tests.drivers.frame_world import ESTATE, SITE
from tests.drivers.world import NONCE, blank_card, own_key, signed_credential, transport_key
from tests.fuzz.target import Target

# More than any dialogue says with a card that is nearly right; a chain of frames ends by itself.
EXCHANGES_MAX = 700
_STATUS_WORDS = tuple(
    bytes.fromhex(word)
    for word in (
        "9000",
        "9100",
        "91AF",
        "91AE",
        "91AD",
        "9140",
        "911C",
        "6A82",
        "6300",
        "6C04",
        "6102",
    )
)


LASTING = 0x40
_UNCHANGED = b"\x0f"


_MORE = _STATUS_WORDS.index(b"\x91\xaf")


CHARGE = Charge(tid=bytes(16), reader_id=bytes(16), amount=700, number=1, wall_ms=1_790_000_000_000)


class DoesNotEnd(AssertionError):
    """A dialogue that says more than any has to say."""


@dataclass
class Liar:
    """A reader whose card's answers are changed as ``plan`` says, a step of three bytes for each.

    A step with the bit LASTING is that of all answers that follow.
    """

    card: VirtualCard | FrameCard
    plan: bytes
    at: int = 0
    exchanges: int = 0
    lasting: bytes = b""

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        del deadline_s
        self.exchanges += 1
        if self.exchanges > EXCHANGES_MAX:
            raise DoesNotEnd
        answer = self.card.transmit(command)
        return self._changed(b"" if answer is None else answer)

    def _changed(self, answer: bytes) -> bytes:
        what, where, value = self._step()
        at, word = where % (len(answer) + 1), _STATUS_WORDS[value % len(_STATUS_WORDS)]
        changes = (
            lambda: answer[:at] + bytes((value,)) + answer[at + 1 :],
            lambda: answer[:at],
            lambda: answer[:at] + bytes(value) + answer[at:],
            lambda: answer[:-2] + word,
            lambda: word,
            lambda: bytes((value,)) * where + word,
            self._leave,
        )
        number = what & 0x0F
        return changes[number]() if number < len(changes) else answer

    def _leave(self) -> bytes:
        raise CardGone

    def _step(self) -> bytes:
        """The next step of the plan; behind its end nothing is changed."""
        if not self.lasting:
            step = self.plan[self.at : self.at + 3].ljust(3, _UNCHANGED)
            self.at += 3
            if not step[0] & LASTING or self.at > len(self.plan):
                return step
            self.lasting = step
        return self.lasting

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        del timeout_s
        return self.presented

    @property
    def presented(self) -> Presented:
        """The card, as a real reader would present it."""
        if not isinstance(self.card, FrameCard):
            return Presented("liar", self.card.atr, self.card.uid)
        felica_card = self.card.sel_res is None
        technology = Technology.FELICA if felica_card else Technology.TYPE_2
        return Presented("liar", b"", self.card.uid, technology=technology)

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        del timeout_s
        return True

    def close(self) -> None:
        """See Reader."""


Steps = Generator[Any, Any, Any]
Talk = Callable[[Reader, Presented], object]


def _apdus(steps: Callable[[], Steps]) -> Talk:
    return lambda reader, _: hold(steps(), reader, Deadlines(), time.monotonic, extended=False)


def _frames(steps: Callable[[], Steps]) -> Talk:
    return lambda reader, _: hold_frames(steps(), reader, Deadlines(), time.monotonic)


def _credit(reader: Reader, presented: Presented) -> None:
    """A credit, and what became of it asked afterwards."""
    say = partial(hold, reader=reader, deadlines=Deadlines(), now=time.monotonic, extended=False)
    purse = say(open_purse(desfire_world.QUAY, presented, NONCE))
    key = desfire_world.ESTATE.credit_key(key_input(purse.uid, CREDIT_KEY))
    if purse.last is None or purse.balance > desfire_world.BALANCE:
        return
    intent = desfire_world.intent_of(purse)
    say(credit(purse, key, intent, NONCE))
    say(fate(say(open_purse(desfire_world.QUAY, presented, NONCE)), intent))


def _load(reader: Reader, _presented: Presented) -> None:
    """A load, a purchase, and what became of it."""
    say = partial(hold, reader=reader, deadlines=Deadlines(), now=time.monotonic, extended=False)
    purse = say(pboc_purse.open_purse(purse_world.PURSE_TRUST, NONCE))
    say(pboc_purse.load(purse, 100, purse_world.TERMINAL, purse_world.host))
    purse = say(pboc_purse.open_purse(purse_world.PURSE_TRUST, NONCE))
    if purse.balance < purse_world.AMOUNT:
        return
    purchase = say(pboc_purse.begin(purse, purse_world.claim()))
    say(pboc_purse.debit(purse, purchase))
    say(pboc_purse.fate(say(pboc_purse.open_purse(purse_world.PURSE_TRUST, NONCE)), purchase))


def _pay(identify: Callable[[CardTrust, Presented, bytes], Dialogue], trust: CardTrust) -> Talk:
    """What a terminal does: identify, charge, and ask later what became of it, debited or not."""

    def talk(reader: Reader, presented: Presented) -> None:
        say = partial(
            hold, reader=reader, deadlines=Deadlines(), now=time.monotonic, extended=False
        )
        first = say(identify(trust, presented, NONCE))
        if first.purse is None or (first.balance_before or 0) < CHARGE.amount:
            return
        intent = say(first.purse.prepare(CHARGE))
        with suppress(DriverError):
            say(first.purse.debit(intent))
        again = say(identify(trust, presented, NONCE))
        if again.purse is not None:
            say(again.purse.fate(intent))

    return talk


def _target(make: Callable[[], VirtualCard | FrameCard], talk: Talk, exchanges: int) -> Target:
    """``exchanges``: of the whole dialogue. Seeds change one answer of it, or give some no end."""
    made = cache(make)

    def run(plan: bytes) -> None:
        card = deepcopy(made())
        card.reset()
        reader = Liar(card, plan)
        talk(reader, reader.presented)

    changes = (_UNCHANGED * 3 * at + b"\x00\x00\x00" for at in range(exchanges))
    endless = (
        _UNCHANGED * 3 * at + bytes((LASTING | 3, 0, _MORE)) for at in {0, 1, 3, exchanges // 2}
    )
    seeds = (b"", *changes, *endless)
    return Target(run, seeds)


def _ntag_steps() -> Steps:
    layout = partial(template, "card.example/t", SITE.site, "harbour")
    return ntag424.personalise(test_ntag424.tag_keys(), layout, lambda: NONCE, lrp=True)


def _java_steps(protocol: int) -> Steps:
    keys = (javacard_world.key_set(protocol),)
    return javacard_world.provide(keys, javacard_world.LEVELS[protocol][-1])


def _purse_steps() -> Steps:
    return personalise_pboc(
        test_personalise_pboc.TRANSPORT, test_personalise_pboc.keys_of(ESTATE), 0
    )


def _blank_ultralight() -> FrameCard:
    return test_ultralight.blank(ultralight.Chip.AES)


def _ultralight_steps() -> Steps:
    key = ultralight.card_key(SITE, test_ultralight.UID)
    return ultralight.personalise(ultralight.Chip.AES, key)


def _felica_steps() -> Steps:
    return felica.personalise(test_felica.IDM, felica.card_key(SITE, test_felica.IDM), NONCE)


DIALOGUES: dict[str, Target] = {
    **{
        f"tap_{name.replace(':', '_')}": _target(each.card, each.tap, 9)
        for name, each in TAPS.items()
    },
    "pay_desfire": _target(
        desfire_world.loaded_desfire, _pay(desfire.identify, desfire_world.DESFIRE_TRUST), 14
    ),
    "pay_pboc": _target(
        purse_world.purse_card, _pay(pboc_purse.identify, purse_world.PURSE_TRUST), 11
    ),
    "credit_desfire": _target(desfire_world.loaded_desfire, _credit, 17),
    "load_pboc": _target(purse_world.purse_card, _load, 16),
    "issue_cpu": _target(
        blank_card,
        _apdus(lambda: personalise_cpu(transport_key, own_key, signed_credential, NONCE)),
        12,
    ),
    "issue_desfire": _target(
        desfire_world.factory_desfire,
        _apdus(lambda: personalise_desfire(desfire_world.TRANSPORT_KEY, desfire_world.KEYS, bytes)),
        58,
    ),
    "issue_file_card": _target(
        file_card_world.blank_card,
        _apdus(
            lambda: file_card.personalise(
                file_card_world.TRANSPORT, file_card_world.KEYS, file_card_world.member_of, bytes
            )
        ),
        14,
    ),
    "issue_pboc": _target(
        lambda: test_personalise_pboc.blank_purse().card, _apdus(_purse_steps), 20
    ),
    "issue_ntag424": _target(
        lambda: Ntag424Card(Ntag424State(test_ntag424.UID)), _apdus(_ntag_steps), 26
    ),
    "issue_ultralight": _target(_blank_ultralight, _frames(_ultralight_steps), 6),
    "issue_felica": _target(
        lambda: FelicaCard(FelicaState.blank(test_felica.IDM)), _frames(_felica_steps), 7
    ),
    "issue_java_scp02": _target(
        lambda: javacard_world.java_card(2), _apdus(lambda: _java_steps(2)), 16
    ),
    "issue_java_scp03": _target(
        lambda: javacard_world.java_card(3), _apdus(lambda: _java_steps(3)), 16
    ),
}
