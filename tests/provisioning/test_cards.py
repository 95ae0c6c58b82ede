"""Personalisation over the real reader stack: nfcpy's PN532 driver on a pseudo-terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.card import CardTrust
from drivers.errors import (
    CardForged,
    CardGone,
    CardIssued,
    CardRefused,
    DriverError,
    ExchangeTimeout,
)
from drivers.exchange import Deadlines
from drivers.identify import Examiner, card_kinds
from drivers.reader import Reader
from drivers.virtual.cards.cpu import CpuCard
from drivers.virtual.cards.cpu_state import ADMIN_TRIES, CpuState
from drivers.virtual.pn532 import Pn532Device
from protocol.credential import card_reference
from provisioning.authority import Authority, init
from provisioning.cards import CardDesk
from provisioning.errors import NoCard
from tests.provisioning.card_desk import DAY, TRANSPORT, card_desk


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return init(tmp_path_factory.mktemp("site") / "authority", "acme", datetime.now(UTC))


@pytest.fixture
def desk(reader: Reader, device: Pn532Device, authority: Authority) -> Iterator[CardDesk]:
    yield card_desk(authority, reader)
    device.faults.clear()
    device.remove()


def _blank(transport: bytes = TRANSPORT.secret) -> CpuCard:
    return CpuCard(CpuState.blank(os.urandom(16), transport))


def _make(desk: CardDesk, device: Pn532Device, card: CpuCard) -> bytes:
    device.insert(card)
    try:
        return desk.personalise("cpu", "m-1", present_s=5.0)
    finally:
        device.remove()
        assert desk.reader.wait_for_removal(5.0)


def test_a_blank_card_becomes_one_that_a_terminal_accepts(
    desk: CardDesk, device: Pn532Device, authority: Authority
) -> None:
    card = _blank()
    reference = _make(desk, device, card)
    assert reference == card_reference(authority.cards.reference, "cpu", card.state.serial)
    assert card.state.lifecycle == 1
    # No key that came with the card, or that others have, opens it any more.
    assert card.state.admin_key not in (TRANSPORT.secret, authority.cards.admin_master)


def test_two_cards_have_two_admin_keys(desk: CardDesk, device: Pn532Device) -> None:
    cards = [_blank(), _blank()]
    assert len({_make(desk, device, card) for card in cards}) == 2
    assert len({card.state.admin_key for card in cards}) == 2


def test_the_wrong_transport_key_leaves_the_card_as_it_was(
    desk: CardDesk, device: Pn532Device
) -> None:
    card = _blank(transport=bytes(16))
    with pytest.raises(CardRefused, match="accept the admin key"):
        _make(desk, device, card)
    assert (card.state.lifecycle, card.state.file, card.state.signing_key) == (0, b"", b"")
    assert 0 < card.state.admin_tries < ADMIN_TRIES
    card.state.admin_key = TRANSPORT.secret
    _make(desk, device, card)
    assert card.state.lifecycle == 1


def test_a_locked_card_says_so(desk: CardDesk, device: Pn532Device) -> None:
    card = _blank()
    card.state.admin_tries = 0
    with pytest.raises(CardRefused, match="6983"):
        _make(desk, device, card)


def test_no_card_is_an_error_with_a_code(desk: CardDesk) -> None:
    with pytest.raises(NoCard) as error:
        desk.personalise("cpu", "m-1", present_s=0.0)
    assert error.value.code == "no_card"


def test_an_issued_card_keeps_what_is_on_it(desk: CardDesk, device: Pn532Device) -> None:
    card = _blank()
    first = _make(desk, device, card)
    before = replace(card.state)
    assert _make(desk, device, card) == first
    assert card.state.file == before.file
    assert card.state.signing_key == before.signing_key


def test_an_issued_card_of_another_issuer_is_refused(
    desk: CardDesk, device: Pn532Device, tmp_path: Path
) -> None:
    other = init(tmp_path / "other", "acme", datetime.now(UTC))
    card = _blank()
    _make(replace(desk, keys=other.cards), device, card)
    with pytest.raises(CardForged):
        _make(desk, device, card)


@pytest.mark.parametrize("answer_lost", [False, True], ids=["unheard", "answer-lost"])
def test_a_card_torn_away_at_any_command_is_repaired_by_a_second_run(
    desk: CardDesk, device: Pn532Device, *, answer_lost: bool
) -> None:
    """Cut before the n-th command, n rising until a whole run needs no more of them."""
    torn = 0
    while True:
        card = _blank()
        device.faults.cut_after(torn + 1, answer_lost=answer_lost)
        try:
            _make(desk, device, card)
            break
        except (CardGone, ExchangeTimeout):
            torn += 1
        _make(desk, device, card)
        assert card.state.lifecycle == 1
        assert card.state.admin_tries == ADMIN_TRIES
    # SELECT, two of authentication, key, write, read, sign, change, activate, SELECT; read back.
    assert torn >= 13


def test_a_card_torn_away_before_its_end_is_no_member_card(
    desk: CardDesk, device: Pn532Device, authority: Authority
) -> None:
    card = _blank()
    device.faults.cut_after(9)
    with pytest.raises(CardGone):
        _make(desk, device, card)
    issuer = authority.cards.issuer.verifier
    trust = CardTrust(
        reference_key=authority.cards.reference,
        issuers={issuer.key_id: issuer},
        tenant="acme",
        day=DAY,
    )
    examiner = Examiner(
        kinds=card_kinds(),
        trust=lambda: trust,
        nonce=lambda: os.urandom(16),
        now=time.monotonic,
        deadlines=Deadlines(),
    )
    device.insert(card)
    presented = desk.reader.wait_for_card(5.0)
    assert presented
    with pytest.raises(DriverError) as error:
        examiner.identify(desk.reader, presented)
    assert error.value.code == "card_blank"
    assert not isinstance(error.value, CardIssued)
