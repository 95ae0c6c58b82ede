"""CAP files: what a card takes of them, and what is none."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import cap
from tests.drivers.javacard_world import (
    MODULE,
    PACKAGE,
    cap_file,
    component,
)


def test_a_cap_file_says_what_is_in_it() -> None:
    file = cap.read(cap_file())
    assert (file.package, file.modules) == (PACKAGE, (MODULE,))
    assert file.code[:1] == b"\x01"
    assert b"not for the card" not in file.code


def archive(**parts: bytes) -> bytes:
    data = BytesIO()
    with ZipFile(data, "w") as made:
        for name, content in parts.items():
            made.writestr(f"{name}.cap", content)
    return data.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        archive(),
        archive(Header=component(1, bytes(20)), Applet=component(3, b"\x00")),
        archive(Header=b"\x01\x00\x09", Applet=component(3, b"\x00")),
        cap_file(package=b"abc"),
        cap_file(method_bytes=61_000),
        cap_file()[:-30],
    ],
)
def test_what_is_no_cap_file_is_refused(data: bytes) -> None:
    with pytest.raises(cap.CapRefused):
        cap.read(data)


@settings(max_examples=200)
@given(st.binary(max_size=60), st.integers(0, 1500))
def test_a_damaged_cap_file_is_read_or_refused(noise: bytes, at: int) -> None:
    whole = cap_file()
    try:
        cap.read(whole[:at] + noise + whole[at + len(noise) :])
    except cap.CapRefused:
        return
