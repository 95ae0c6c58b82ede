"""What the driver tests share: an issuer, member cards made by personalisation, a listener."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from drivers.apdu import CommandApdu, ResponseApdu
from drivers.card import NONCE_BYTES, CardIdentity, CardTrust
from drivers.errors import CardGone, DriverError
from drivers.exchange import Deadlines, hold
from drivers.identify import Examiner, card_kinds
from drivers.loan import Loan
from drivers.personalise import Personalised, admin_key, personalise
from drivers.reader import Presented
from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import CpuState
from drivers.virtual.faults import CardLeft, Faults, VirtualCard
from protocol.credential import Credential, card_reference, issue
from protocol.signing import Ed25519Signer

Result = TypeVar("Result")

TRANSPORT_KEY = bytes(range(16))
MASTER_KEY = bytes(range(16, 32))
SYSTEM_ID = b"tl"
TENANT = "harbour"
TODAY = 20_000
ISSUER = Ed25519Signer(bytes(range(32)))
TRUST = CardTrust(
    reference_key=bytes(range(32, 64)),
    issuers={ISSUER.key_id: ISSUER.verifier},
    tenant=TENANT,
    day=TODAY,
)
NONCE = bytes(range(64, 64 + NONCE_BYTES))
# Generous: the machine may be loaded; a wait ends as soon as its condition holds.
SOON_S = 15.0


PRESENTED = Presented("direct", b"\x3b\x00")  # for dialogues that ask nothing of the reader


def serial(number: int) -> bytes:
    """Serial of the n-th card."""
    return hashlib.sha256(number.to_bytes(4, "big")).digest()[:16]


def reference(number: int) -> bytes:
    """What a record calls the n-th card."""
    return card_reference(TRUST.reference_key, "cpu", serial(number))


def transport_key(_serial: bytes) -> bytes:
    """The key with which cards are delivered."""
    return TRANSPORT_KEY


def own_key(card_serial: bytes) -> bytes:
    """The admin key after personalisation."""
    return admin_key(MASTER_KEY, card_serial, SYSTEM_ID)


def credential_of(card_serial: bytes, public_key: bytes) -> Credential:
    """The credential of a good card."""
    return Credential(
        card_id=card_serial,
        public_key=public_key,
        tenant=TENANT,
        issued_day=TODAY - 1,
        expires_day=TODAY + 1,
    )


def signed_credential(card_serial: bytes, public_key: bytes) -> bytes:
    """The same, signed by the issuer."""
    return issue(credential_of(card_serial, public_key), ISSUER)


@dataclass
class DirectReader:
    """A reader whose card is in the same process: no bus, no waiting."""

    card: VirtualCard
    faults: Faults = field(default_factory=Faults)
    extended: bool = False
    sent: list[bytes] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    @property
    def said(self) -> list[tuple[bytes, bytes]]:
        """Commands that were answered, and their answers."""
        return list(zip(self.sent, self.heard, strict=True))

    @property
    def presented(self) -> Presented:
        """The card, as a real reader would present it."""
        return Presented("direct", self.card.atr, self.card.uid, extended=self.extended)

    def wait_for_card(self, timeout_s: float) -> Presented | None:
        """See Reader."""
        del timeout_s
        return self.presented

    def transmit(self, command: bytes, deadline_s: float) -> bytes:
        """See Reader."""
        del deadline_s
        self.sent.append(command)
        try:
            answer = self.faults.exchange(self.card, command)
        except CardLeft:
            raise CardGone from None
        assert answer is not None
        self.heard.append(answer)
        return answer

    def wait_for_removal(self, timeout_s: float) -> bool:
        """See Reader."""
        del timeout_s
        return True

    def close(self) -> None:
        """See Reader."""


def do(steps: Generator[CommandApdu, ResponseApdu, Result], reader: DirectReader) -> Result:
    """Hold a dialogue with the card that lies on the reader."""
    return hold(steps, reader, Deadlines(), time.monotonic, extended=reader.extended)


def issue_to(
    reader: DirectReader,
    make_credential: Callable[[bytes, bytes], bytes] = signed_credential,
    *,
    again: bool = False,
) -> Personalised:
    """Personalise the card on the reader."""
    dialogue = personalise(transport_key, own_key, make_credential, NONCE, again=again)
    reader.card.reset()
    return do(dialogue, reader)


def blank_card(number: int = 1, *, t0: bool = False) -> CpuCard:
    """A card as delivered."""
    return CpuCard(CpuState.blank(serial(number), TRANSPORT_KEY), t0=t0)


def member_card(
    number: int = 1,
    make_credential: Callable[[bytes, bytes], bytes] = signed_credential,
    *,
    t0: bool = False,
) -> CpuCard:
    """A card that was personalised."""
    card = blank_card(number)
    issue_to(DirectReader(card), make_credential)
    return CpuCard(card.state, t0=t0)


def examiner(trust: CardTrust = TRUST, deadlines: Deadlines | None = None) -> Examiner:
    """An examiner over all card families and the real clock."""
    return Examiner(
        kinds=card_kinds(),
        trust=lambda: trust,
        nonce=lambda: os.urandom(NONCE_BYTES),
        now=time.monotonic,
        deadlines=deadlines or Deadlines(),
    )


def on_day(day: int) -> CardTrust:
    """The trust of another day."""
    return replace(TRUST, day=day)


class Log:
    """A supervisor's listener that keeps what it hears and lets a test wait for more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.heard: list[str] = []
        self.at: list[float] = []
        self.identities: list[CardIdentity] = []

    def on_card(self, identity: CardIdentity, loan: Loan) -> None:
        """See Listener."""
        loan.release()
        self.identities.append(identity)
        self._note("card")

    def on_problem(self, problem: DriverError) -> None:
        """See Listener."""
        self._note(problem.code)

    def on_removed(self) -> None:
        """See Listener."""
        self._note("removed")

    def _note(self, word: str) -> None:
        with self._changed:
            self.heard.append(word)
            self.at.append(time.perf_counter())
            self._changed.notify_all()

    def wait_for(self, *words: str) -> None:
        """Return once ``words`` is exactly what was heard so far; fail after SOON_S or on more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.heard) >= len(words), SOON_S)
            assert self.heard == list(words), f"heard {self.heard}, not {list(words)}"

    def wait_for_change(self, timeout_s: float) -> None:
        """Return once something more was heard, or after ``timeout_s``."""
        with self._changed:
            self._changed.wait(timeout_s)

    def first(self) -> str:
        """Return what was heard first, as soon as there is something."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.heard, SOON_S), "nothing was heard"
            return self.heard[0]

    def wait_until_heard(self, word: str, times: int = 1) -> None:
        """Return once ``word`` was heard so many times, whatever else was."""
        with self._changed:
            done = self._changed.wait_for(lambda: self.heard.count(word) >= times, SOON_S)
            assert done, self.heard
