"""The datagram carrier before nfcpy's udp reader."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import nfc.clf
import nfc.tag
import nfc.tag.tt4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.virtual.iso_dep import IsoDepCard
from drivers.virtual.nfc_udp import NfcUdpCarrier, TypeACard
from tests.drivers.virtual.technician import (
    CREDENTIAL,
    READ,
    SELECT,
    blank_card,
    internal_authenticate,
    personalise,
    personalised_card,
)

TYPE_A = nfc.clf.RemoteTarget("106A")
PROVE = internal_authenticate(bytes(16))


@pytest.fixture
def carrier() -> Iterator[NfcUdpCarrier]:
    carrier = NfcUdpCarrier()
    yield carrier
    carrier.close()


@pytest.fixture
def frontend(carrier: NfcUdpCarrier) -> Iterator[Any]:
    frontend = nfc.ContactlessFrontend(f"udp:127.0.0.1:{carrier.port}")
    yield frontend
    frontend.close()


def activated(frontend: Any) -> Any:
    """The card in the field, ready for commands."""
    return nfc.tag.activate(frontend, frontend.sense(TYPE_A))


def test_a_whole_dialogue(carrier: NfcUdpCarrier, frontend: Any) -> None:
    card = personalised_card()
    carrier.insert(card)
    tag = activated(frontend)
    assert bytes(tag.identifier) == card.uid
    assert tag.transceive(SELECT)[-2:] == b"\x90\x00"
    assert tag.transceive(READ) == CREDENTIAL[:256] + b"\x90\x00"
    assert tag.transceive(PROVE)[:4] == bytes.fromhex("00000001")
    assert tag.is_present
    carrier.remove()
    assert not tag.is_present


def test_a_card_is_personalised(carrier: NfcUdpCarrier, frontend: Any) -> None:
    card = blank_card()
    carrier.insert(card)
    tag = activated(frontend)
    personalise(lambda apdu: bytes(tag.transceive(apdu)))
    assert card.state.lifecycle == 1


@pytest.mark.parametrize("lost", ["command", "answer"])
def test_a_card_torn_away(carrier: NfcUdpCarrier, frontend: Any, lost: str) -> None:
    card = personalised_card()
    carrier.insert(card)
    carrier.faults.cut_after(2, answer_lost=lost == "answer")
    tag = activated(frontend)
    tag.transceive(SELECT)
    with pytest.raises(nfc.tag.tt4.Type4TagCommandError):
        tag.transceive(PROVE)
    assert card.state.counter == (lost == "answer")
    carrier.insert(card)
    assert activated(frontend).transceive(SELECT)[-2:] == b"\x90\x00"


def test_garbage_from_the_card(carrier: NfcUdpCarrier, frontend: Any) -> None:
    carrier.insert(personalised_card())
    carrier.faults.garbage = b"\x00"
    assert activated(frontend).transceive(SELECT) == b"\x00"


def test_a_reader_that_switches_its_field_off_resets_the_card(
    carrier: NfcUdpCarrier, frontend: Any
) -> None:
    carrier.insert(personalised_card())
    tag = activated(frontend)
    tag.transceive(SELECT)
    frontend.device.mute()
    assert activated(frontend).transceive(READ).hex() == "6985"


def test_datagrams_that_mean_nothing_are_passed_over(carrier: NfcUdpCarrier) -> None:
    carrier.insert(personalised_card())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.settimeout(10)
        for datagram in (b"", b"106A", b"106A zz", b"212F 06", b"106A \xff\xff", b"\x00" * 900):
            reader.sendto(datagram, ("127.0.0.1", carrier.port))
        reader.sendto(b"106A 26", ("127.0.0.1", carrier.port))
        assert reader.recv(100) == b"106A 4403"


def test_without_a_field_the_card_is_silent_until_it_is_looked_for(
    carrier: NfcUdpCarrier,
) -> None:
    carrier.insert(personalised_card())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reader:
        reader.settimeout(10)
        reader.connect(("127.0.0.1", carrier.port))
        heard = []
        for datagram, answers in (
            (b"106A e080", True),
            (b"106A b2", True),
            (b"RFOFF", False),
            (b"106A b2", False),
            (b"106A 26", True),
        ):
            reader.send(datagram)
            if answers:
                heard.append(reader.recv(100))
        assert heard[1:] == [b"106A a3", b"106A 4403"]


def test_it_listens_on_loopback_alone_and_frees_its_port() -> None:
    carrier = NfcUdpCarrier()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", carrier.port))
    carrier.close()
    carrier.close()
    assert not any(thread.name == f"udp {carrier.port}" for thread in threading.enumerate())
    NfcUdpCarrier(carrier.port).close()


CARD = personalised_card()
"""One card for all examples: making one costs a key pair."""


@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"\x26", b"\x93\x20", b"\xe0\x80"])),
)
def test_no_frame_breaks_a_type_a_card(frames: list[bytes]) -> None:
    card = TypeACard(CARD.uid, IsoDepCard(CARD.transmit, CARD.reset, CARD.historical))
    for frame in frames:
        card.receive(frame)
    assert card.receive(b"\x52") == b"\x44\x03"
    assert card.receive(b"\x93\x20")[:4] == b"\x88" + CARD.uid[:3]  # type: ignore[index]
