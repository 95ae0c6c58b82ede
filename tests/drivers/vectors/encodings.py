"""ATR, BER-TLV, CBOR and Base45: what cards, readers and QR codes wrap their bytes in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cbor2 import CBORSimpleValue, CBORTag, undefined

from drivers import atr, tlv
from protocol import base45, cbor
from protocol.errors import Malformed
from tests.drivers.vectors import Case, Check, UnknownCase, raw

CONVENTIONS = {atr.DIRECT: "direct", atr.INVERSE: "inverse"}


def check_atr(case: Case, _: Case) -> None:
    if case.get("expect") == "reject":
        with pytest.raises(atr.AtrError):
            atr.parse(raw(case, "atr"))
        return
    parsed = atr.parse(raw(case, "atr"))
    assert CONVENTIONS[parsed.convention] == case["convention"]
    interface = {name: f"{value:02x}" for name, value in parsed.interface.items()}
    assert interface == case["interface_bytes"]
    assert list(parsed.protocols) == case["protocols_in_order"]
    assert sorted(parsed.offered) == sorted(set(case["protocols"]) - {15})
    assert parsed.historical.hex() == case["historical_bytes"]
    assert atr.historical_bytes(raw(case, "atr")) == parsed.historical
    assert parsed.tck_expected is case["tck_expected"]
    assert (None if parsed.tck is None else f"{parsed.tck:02x}") == case["tck"]
    assert parsed.tck_valid is case["tck_valid"]
    assert parsed.trailing.hex() == case["trailing_bytes"]
    assert (parsed.fi, parsed.di) == (case["fi"], case["di"])
    check_storage_card(parsed.storage_card, case.get("pcsc_contactless"))


def check_storage_card(card: atr.StorageCard | None, expected: Case | None) -> None:
    if expected is None:
        assert card is None
        return
    assert card is not None
    assert card.rid.hex() == expected["rid"]
    assert f"{card.standard:02x}" == expected["standard"]
    assert f"{card.card_name:04x}" == expected["card_name"]
    # The document's table of names is partial: where it has none, ours may have one.
    for text, ours in (("standard_text", card.standard_text), ("card_text", card.card_text)):
        assert expected[text] is None or squeezed(expected[text]) == squeezed(ours or "")


def squeezed(name: str) -> str:
    """A name without the spaces, commas and capitals that each table sets in its own way."""
    return re.sub(r"\W", "", name).casefold()


def listed(objects: tuple[tlv.DataObject, ...]) -> list[list[Any]]:
    """The objects as the document writes them."""
    return [
        [f"{tag:02x}", value.hex() if isinstance(value, bytes) else listed(value)]
        for tag, value in objects
    ]


def check_tlv(case: Case, _: Case) -> None:
    if case.get("type") == "encode_length":
        assert tlv.encode_length(case["length"]).hex() == case["encoded"]
        return
    if "type" in case:
        raise UnknownCase(case["type"])
    if case.get("expect") == "reject":
        with pytest.raises(tlv.TlvError):
            tlv.parse_tree(raw(case, "tlv"))
        return
    objects = tlv.parse_tree(raw(case, "tlv"))
    assert listed(objects) == case["parsed"]


def as_json(value: Any) -> Any:
    """The decoded value with arrays as JSON has them."""
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, CBORTag):  # a bignum is the only tag that JSON can say
        number = int.from_bytes(value.value, "big")
        return {2: number, 3: -1 - number}[value.tag]
    return value


def diagnostic(value: Any) -> str:
    """The value in diagnostic notation (RFC 8949, section 8), one space after punctuation."""
    match value:
        case CBORTag():
            text = f"{value.tag}({diagnostic(value.value)})"
        case CBORSimpleValue():
            text = f"simple({value.value})"
        case bytes():
            text = f"h'{value.hex()}'"
        case str():
            text = f'"{value}"'
        case dict():
            pairs = (f"{diagnostic(key)}: {diagnostic(item)}" for key, item in value.items())
            text = f"{{{', '.join(pairs)}}}"
        case tuple():
            text = f"[{', '.join(map(diagnostic, value))}]"
        case _:
            text = repr(value)
    names = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN", repr(undefined): "undefined"}
    return names.get(text, text)


def joined(notation: str) -> str:
    """Strings that the notation shows in parts, (_ h'01', h'02'), in one."""
    return re.sub(
        r"\(_ (.*?)\)", lambda match: match[1].replace("', h'", "").replace('", "', ""), notation
    )


# RFC 7049, of whose time the rows are, wrote these in two bytes; RFC 8949, 3.3 refuses them.
WITHDRAWN = {f"simple({number})" for number in range(24, 32)}


def check_cbor(case: Case, document: Case) -> None:
    if case.get("diagnostic") in WITHDRAWN:
        with pytest.raises(Malformed):
            cbor.decode(raw(case, "hex"))
        return
    value, deterministic = cbor.decode(raw(case, "hex"))
    if "decoded" in case:
        decoded = as_json(value)
        assert decoded == case["decoded"]
        # 0.0 and -0.0, 1 and 1.0 are equal and not the same.
        assert repr(decoded) == repr(case["decoded"])
    else:
        assert diagnostic(value) == joined(case["diagnostic"])
    assert deterministic is case["deterministic"]
    order = document["map_key_order_example"]["encoded_keys_in_order"]
    check_key_order([bytes.fromhex(key) for key in order])


def check_key_order(keys: list[bytes]) -> None:
    head = bytes((0xA0 + len(keys),))
    assert cbor.decode(head + b"".join(key + b"\x00" for key in keys)).deterministic
    keys[0], keys[-1] = keys[-1], keys[0]
    assert not cbor.decode(head + b"".join(key + b"\x00" for key in keys)).deterministic


def check_base45(case: Case, _: Case) -> None:
    if case.get("expect") == "reject":
        with pytest.raises(Malformed):
            base45.decode(case["base45"])
        return
    assert base45.encode(raw(case, "data")) == case["base45"]
    assert base45.decode(case["base45"]) == raw(case, "data")
    if "text" in case:
        assert base45.decode(case["base45"]).decode() == case["text"]


CHECKS: dict[str, Check] = {
    "atr_parse": check_atr,
    "base45": check_base45,
    "ber_tlv": check_tlv,
    "cbor_rfc8949_appendix_a": check_cbor,
}
