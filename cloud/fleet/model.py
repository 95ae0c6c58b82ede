"""Decides what a terminal is granted and told, and what its reports mean. Pure."""

from __future__ import annotations

from typing import NamedTuple

from protocol import grant
from protocol.command import Command, Verb
from protocol.grant import Grant
from protocol.shadow import Desired, Reported
from protocol.signing import SigningKey, verifier
from protocol.status import Status
from protocol.watermark import Standing

# A command that did not reach its terminal in this time is not carried out any more.
COMMAND_VALID_MS = 60_000


class Terminal(NamedTuple):
    """A terminal as the console and the API show it; times in ms, 0 = never.

    ``upto_seq`` and ``head_hash`` are what the ledger has of the newest epoch; the rest of the
    figures is what the terminal last said of itself (``status``, ``reported``).
    """

    terminal: str
    site: str
    standing: Standing
    epoch: int
    upto_seq: int
    head_hash: bytes
    quarantined: int
    enrolled_ms: int
    heard_ms: int
    online: bool
    status: Status | None
    reported: Reported | None
    revision: int
    status_every_s: int

    @property
    def queue(self) -> int:
        """Records that the terminal has and the ledger has not, as far as the terminal said."""
        if self.status is None or self.status.epoch != self.epoch:
            return 0
        return max(self.status.head_seq - self.upto_seq, 0)

    @property
    def oldest_ms(self) -> int:
        """Wall clock of the oldest unacknowledged record; 0 when nothing waits."""
        return self.status.oldest_ms if self.status is not None and self.queue else 0


class SentCommand(NamedTuple):
    """A command and what became of it; ``code`` is empty until the terminal answers."""

    verb: str
    operator: str
    issued_ms: int
    not_after_ms: int
    code: str
    done_ms: int


class Enrolment(NamedTuple):
    """A key that may write one epoch, with the grant's signed bytes."""

    terminal: str
    site: str
    epoch: int
    algorithm: int
    public_key: bytes
    grant_data: bytes
    head_hash: bytes
    granted_ms: int


def enrolment(
    tenant: str,
    site: str,
    terminal: str,
    epoch: int,
    public: tuple[int, bytes],
    now_ms: int,
    key: SigningKey,
) -> Enrolment:
    """Grant ``epoch`` to the terminal's ``public`` key (algorithm, bytes); Malformed for no key."""
    algorithm, public_key = public
    checked = verifier(algorithm, public_key)
    data = grant.issue(
        Grant(
            tenant=tenant,
            site=site,
            terminal=terminal,
            epoch=epoch,
            key_id=checked.key_id,
            issued_ms=now_ms,
        ),
        key,
    )
    head = grant.opening_head(epoch, data)
    return Enrolment(terminal, site, epoch, algorithm, public_key, data, head.hash, now_ms)


def order_to(terminal: str, verb: Verb, operator: str, identity: bytes, now_ms: int) -> Command:
    """The command ``verb`` to ``terminal``; ``identity`` are 16 bytes, new for each."""
    return Command(
        id=identity,
        terminal=terminal,
        verb=verb,
        not_after_ms=now_ms + COMMAND_VALID_MS,
        operator=operator[:64],
    )


def desired_of(terminal: Terminal) -> Desired:
    """What the terminal should be."""
    return Desired(
        terminal=terminal.terminal,
        revision=terminal.revision,
        status_every_s=terminal.status_every_s,
    )
