"""Cards that answer anything at all: every dialogue ends, and with our own errors alone."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.apdu import ResponseApdu
from drivers.cards import felica, felica_standard, ntag424, ultralight
from drivers.errors import DriverError
from drivers.reader import Presented, Technology
from protocol.card_keys import card_input
from protocol.sun_link import template
from tests.drivers.frame_world import ESTATE, SITE, SITE_TRUST
from tests.drivers.world import NONCE, TENANT

UID, IDM = bytes.fromhex("04616263646566"), bytes.fromhex("0123456789ABCDEF")
# More than any dialogue says; one that goes on beyond it does not end.
COMMANDS_MAX = 60


def _tag_keys() -> ntag424.TagKeys:
    change, spare = (ESTATE.change_key(card_input(UID, b"NDE", slot)) for slot in (0, 4))
    return ntag424.TagKeys(change, spare, SITE)


def _type_2(uid: bytes) -> Presented:
    return Presented("direct", b"", uid, technology=Technology.TYPE_2)


def _felica(idm: bytes) -> Presented:
    return Presented("direct", b"", idm, technology=Technology.FELICA)


FRAMES: dict[str, Callable[[], Generator[bytes, bytes, Any]]] = {
    "ultralight": lambda: ultralight.identify(SITE_TRUST, _type_2(UID), NONCE),
    "ultralight issued": lambda: ultralight.personalise(
        ultralight.Chip.AES, ultralight.card_key(SITE, UID)
    ),
    "felica": lambda: felica.identify(SITE_TRUST, _felica(IDM), NONCE),
    "felica_standard": lambda: felica_standard.identify(SITE_TRUST, _felica(IDM), NONCE),
    "felica issued": lambda: felica.personalise(IDM, felica.card_key(SITE, IDM), NONCE),
}
APDUS: dict[str, Callable[[], Generator[Any, ResponseApdu, Any]]] = {
    "ntag424": lambda: ntag424.identify(SITE_TRUST, Presented("direct", b"", None), NONCE),
    "ntag424 by its message": lambda: ntag424.identify_by_sun(SITE_TRUST, UID),
    "ntag424 issued": lambda: ntag424.personalise(
        _tag_keys(), partial(template, "card.example/t", "pier", TENANT), lambda: NONCE
    ),
}
# Answers that get further than noise does, and noise.
_FELICA = (
    b"\x01" + IDM + bytes(8),
    b"\x07" + IDM,
    b"\x09" + IDM,
    b"\x07" + IDM + bytes(3) + IDM,
    b"\x09" + IDM + bytes(2),
)
_FRAME = st.one_of(
    st.binary(max_size=70),
    st.sampled_from((b"\xaf" + bytes(16), b"\xaf" + bytes(8), b"\x0a", b"\x00" + bytes(16))),
    st.builds(
        lambda head, tail: bytes((1 + len(head + tail),)) + head + tail,
        st.sampled_from(_FELICA),
        st.sampled_from((b"", bytes(8), bytes(16), bytes(32), bytes(40))),
    ),
)
_APDU = st.builds(
    ResponseApdu,
    st.one_of(st.binary(max_size=80), st.sampled_from((bytes(16), b"\x01" + bytes(16)))),
    st.sampled_from((0x9000, 0x9100, 0x91AF, 0x91AD, 0x91AE, 0x917E, 0x6A82)),
)


def _drive(dialogue: Generator[Any, Any, Any], answers: list[Any], otherwise: Any) -> None:
    try:
        next(dialogue)
        for at in range(COMMANDS_MAX):
            dialogue.send(answers[at] if at < len(answers) else otherwise)
    except (StopIteration, DriverError):
        return
    pytest.fail("the dialogue does not end")


@pytest.mark.parametrize("name", FRAMES)
@settings(max_examples=150)
@given(answers=st.lists(_FRAME, max_size=8))
def test_any_frames(name: str, answers: list[bytes]) -> None:
    _drive(FRAMES[name](), answers, b"")


@pytest.mark.parametrize("name", APDUS)
@settings(max_examples=150)
@given(answers=st.lists(_APDU, max_size=8))
def test_any_apdus(name: str, answers: list[ResponseApdu]) -> None:
    _drive(APDUS[name](), answers, ResponseApdu(b"", 0x9100))
