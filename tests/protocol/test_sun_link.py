"""The link of a tag: what is laid out is read back, and anything else is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import SunRefused
from protocol.sun import AES_PICC_BYTES, LRP_PICC_BYTES, SunMode
from protocol.sun_link import link_in, parse, template

PICC_BYTES = {SunMode.AES: AES_PICC_BYTES, SunMode.LRP: LRP_PICC_BYTES}


@pytest.mark.parametrize("mode", list(SunMode))
def test_what_is_laid_out_is_read_back_where_the_tag_writes_it(mode: SunMode) -> None:
    layout = template("card.example/t", "pier", "harbour", mode)
    file = bytearray(layout.file)
    size = 2 * PICC_BYTES[mode]
    assert file[layout.encrypted_at :].startswith(b"harbour         0000000000000000&m=")
    file[layout.picc_at : layout.picc_at + size] = b"A1" * (size // 2)
    file[layout.encrypted_at : layout.encrypted_at + layout.encrypted_length] = b"B2" * 16
    file[layout.mac_at :] = b"C3" * 8
    text = link_in(bytes(file) + bytes(99))
    assert text.startswith(b"https://card.example/t?s=pier&p=A1A1")
    link = parse(text)
    assert (link.site, link.file, link.mac) == ("pier", b"\xb2" * 16, b"\xc3" * 8)
    assert link.picc == b"\xa1" * PICC_BYTES[mode]
    assert link.window == bytes(file[layout.window_at : layout.mac_at])


@pytest.mark.parametrize(
    ("page", "site", "label"),
    [
        ("card.example/" + "x" * 200, "pier", "harbour"),
        ("card.example", "two words", "harbour"),
        ("card.example", "pier", "a label of seventeen"),
        ("card.example", "", "harbour"),
        ("kärte.example", "pier", "harbour"),
    ],
)
def test_what_a_tag_cannot_hold_is_refused(page: str, site: str, label: str) -> None:
    with pytest.raises(ValueError, match=r"tag|ascii"):
        template(page, site, label, SunMode.LRP)


@given(st.binary(max_size=300))
def test_any_file_is_read_or_refused(file: bytes) -> None:
    with contextlib.suppress(SunRefused):
        link_in(file)


@given(st.binary(max_size=200), st.sampled_from([b"", b"?s=pier&p=" + b"0" * 32 + b"&e="]))
def test_any_link_is_read_or_refused(text: bytes, before: bytes) -> None:
    with contextlib.suppress(SunRefused):
        parse(before + text)


def test_a_record_of_another_length_or_scheme_is_no_link() -> None:
    file = template("card.example/t", "pier", "harbour", SunMode.AES).file
    for broken in (b"\xff\xff" + file[2:], file[:4] + b"\x01" + file[5:], file[:-1], b""):
        with pytest.raises(SunRefused):
            link_in(broken)
    with pytest.raises(SunRefused):
        link_in(file[:6] + b"\x03" + file[7:])
