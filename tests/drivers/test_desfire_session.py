"""DESFire commands byte by byte, and settings as they are told and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.apdu import ResponseApdu, Steps
from drivers.desfire.session import Session
from drivers.desfire.settings import (
    ApplicationSettings,
    DataFile,
    FileSettings,
    RecordFile,
    Rights,
    TransactionMacFile,
    ValueFile,
    Version,
)
from drivers.errors import CardRefused
from drivers.secure_channel import ev2
from drivers.secure_channel.channel import CommunicationMode

VECTORS = Path(__file__).parents[1] / "vectors"
FULL, MAC = CommunicationMode.FULL, CommunicationMode.MAC
STEPS: dict[str, Callable[[Session], Steps[object]]] = {
    "GetValue": lambda session: session.get_value(2, FULL),
    "LimitedCredit": lambda session: session.limited_credit(2, 10, MAC),
    "CommitTransaction": lambda session: session.commit_with_mac(),
}
RESULTS = {"GetValue": 1_000, "LimitedCredit": None}


@pytest.mark.parametrize("name", STEPS)
def test_value_commands_are_the_bytes_of_the_vectors(name: str) -> None:
    document = json.loads((VECTORS / "desfire_ev2_value_transaction.json").read_text())
    (case,) = (each for each in document["cases"] if each["name"] == name)
    keys = (bytes.fromhex(document[f"ses_auth_{kind}_key"]) for kind in ("enc", "mac"))
    channel = ev2.Session(ev2.AesSuite(*keys), bytes.fromhex(document["ti"]), case["cmd_ctr"])
    steps = STEPS[name](Session(channel, 0))
    assert next(steps).encode().hex() == case["capdu"]
    with pytest.raises(StopIteration) as ended:
        steps.send(ResponseApdu.decode(bytes.fromhex(case["rapdu"])))
    assert ended.value.value == RESULTS.get(name, bytes.fromhex(case["response_data"]))


def test_a_key_is_changed_in_the_bytes_of_the_vector() -> None:
    document = json.loads((VECTORS / "ev2_changekey_crc.json").read_text())
    case = document["cases"][0]
    keys = (bytes.fromhex(case[f"ses_auth_{kind}_key"]) for kind in ("enc", "mac"))
    channel = ev2.Session(ev2.AesSuite(*keys), bytes.fromhex(case["ti"]), case["cmd_ctr"])
    new, old = bytes.fromhex(case["new_key"]), bytes.fromhex(case["old_key"])
    steps = Session(channel, 0).change_key(case["key_no"], new, case["new_key_version"], old)
    assert next(steps).encode().hex() == case["capdu"]
    with pytest.raises(StopIteration):
        steps.send(ResponseApdu.decode(bytes.fromhex(case["rapdu"])))


nibble, three = st.integers(0, 15), st.integers(0, 0xFFFFFF)
value = st.integers(-(2**31), 2**31 - 1)
rights = st.builds(Rights, read=nibble, write=nibble, both=nibble, change=nibble)
contents = st.one_of(
    st.builds(DataFile, three, backup=st.booleans()),
    st.builds(ValueFile, value, value, limited_credit=st.booleans()),
    st.builds(RecordFile, three, three, three, cyclic=st.booleans()),
    st.builds(TransactionMacFile, st.integers(0, 255)),
)
several = st.lists(rights, min_size=1, max_size=8).map(tuple)
file_settings = st.builds(FileSettings, st.sampled_from(CommunicationMode), several, contents)


def told(settings: FileSettings) -> bytes:
    """GetFileSettings' answer about such a file."""
    own = settings.content.encode()
    match settings.content:
        case DataFile(backup=backup):
            kind = int(backup)
        case ValueFile():
            kind = 2
        case RecordFile(present=present, cyclic=cyclic):
            kind, own = 3 + cyclic, own + present.to_bytes(3, "little")
        case TransactionMacFile(key_version=version):
            kind, own = 5, own + bytes((version,))
    changed = settings.to_change()
    return bytes((kind,)) + changed[:3] + own + changed[3:]


@given(file_settings)
def test_settings_are_read_as_they_are_said(settings: FileSettings) -> None:
    assert FileSettings.parse(told(settings)) == settings


@given(file_settings, st.data())
def test_settings_cut_short_are_refused(settings: FileSettings, data: st.DataObject) -> None:
    whole = told(settings)
    with pytest.raises(CardRefused):
        FileSettings.parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_settings_or_refused(data: bytes) -> None:
    for parse in (FileSettings.parse, Version.parse):
        try:
            parse(data)
        except CardRefused:
            continue


def test_an_application_is_described_in_bytes() -> None:
    assert ApplicationSettings(9, 0x09).encode().hex() == "0989"
    assert ApplicationSettings(9, 0x09, 2, 0).encode().hex() == "099901" + "00021000"
