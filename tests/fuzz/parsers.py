"""Parsers of bytes from a card, a reader, a scanner or a code, each as a target."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from drivers import atr, cap, tlv
from drivers.apdu import TURNS_MAX, CommandApdu, transmit
from drivers.card import CodeTrust
from drivers.cards import file_card, qr_credential
from drivers.desfire.settings import FileSettings, Version
from drivers.errors import DriverError
from drivers.number_format import EM4100_FRAME, FORMATS
from drivers.originality import genuine
from drivers.reader import Presented, Technology
from drivers.readers import keyboard_wedge, scanner, serial_tag
from drivers.secure_channel import pboc, scp02, scp03
from drivers.serial_line import Device
from drivers.virtual.pn532_frames import HostFrames
from protocol import base45, cbor, cose, record
from protocol.batch import pack, unpack
from protocol.codec import decode, encode
from protocol.credential import accept
from protocol.qr_credential import PREFIX, Shown, verify
from protocol.record import Record, seal
from protocol.sun import PiccData, SunMode, open_file, open_picc, plain_picc, seal_picc, sun_mac
from protocol.sun_link import file_key, link_in, meta_key, parse, template
from tests.drivers import test_ntag424
from tests.drivers.frame_world import SITE
from tests.drivers.javacard_world import cap_file
from tests.drivers.world import TRUST, signed_credential
from tests.fuzz.target import Target
from tests.protocol import phone
from tests.protocol.world import FIRST_HEAD, TERMINAL_KEY, sale


def _atr(data: bytes) -> None:
    atr.historical_bytes(data)
    atr.storage_card(data)
    atr.takes_extended_length(data)
    atr.from_ats(data)
    said = atr.parse(data)
    for told in (said.offered, said.tck_expected, said.tck_valid, said.fi, said.di):
        str(told)
    if said.storage_card:
        str((said.storage_card.card_text, said.storage_card.standard_text))


def _pieces(data: bytes) -> Iterable[bytes]:
    """Cut ``data`` into parts that each begin with their length."""
    while data:
        size = data[0]
        yield data[1 : 1 + size]
        data = data[1 + size :]


def _response(data: bytes) -> None:
    """A command whose exchanges are answered by the parts of ``data``, and then by the last one."""
    answers = list(_pieces(data))
    said = 0

    def send(_apdu: bytes) -> bytes:
        nonlocal said
        said += 1
        if said > 4 * TURNS_MAX:
            raise AssertionError("an exchange without end")
        return answers[min(said, len(answers)) - 1] if answers else b""

    transmit(CommandApdu(0, 0xCA, 0, 0, bytes(300), ne=65_536), send, extended=bool(len(data) & 1))


def _framer(make: Callable[[], Callable[[bytes, float], object]]) -> Callable[[bytes], None]:
    """Give the parts of the input to a framer, at moments that they say themselves."""

    def run(data: bytes) -> None:
        framer, now = make(), 0.0
        for part in _pieces(data):
            now += (part[-1] if part else 0) / 400
            framer(part, now)

    return run


def _code(text: str) -> None:
    verify(text, phone.ISSUERS, phone.TENANT, phone.NOW_S)


def _shown(text: str) -> None:
    """The same, as a card family: the refusals are the drivers'."""
    presented = Presented("scanner", b"", technology=Technology.QR, text=text)
    trust = replace(TRUST, codes=CodeTrust(phone.NOW_S, Shown()))
    with suppress(DriverError):
        for _ in qr_credential.identify(trust, presented, bytes(16)):
            raise AssertionError("a code is not spoken to")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _sun(data: bytes) -> None:
    picc = open_picc(bytes(16), data[:24] if len(data) & 1 else data[:16])
    sun_mac(picc, bytes(16), data)
    open_file(picc, bytes(16), data[16:])


def _link(data: bytes) -> None:
    link = parse(data)
    picc = link.open(meta_key(SITE))
    link.check(picc, file_key(SITE, picc.uid))


def _originality(data: bytes) -> None:
    genuine(data[:7], data[7:])


def _number(data: bytes) -> None:
    for read in FORMATS.values():
        read(data)


def _key(code: int) -> bytes:
    """A key that goes down and up again."""
    event = struct.Struct("llHHi")
    return event.pack(0, 0, 1, code, 1) + event.pack(0, 0, 1, code, 0)


def _framed(*parts: bytes) -> bytes:
    """Inverse of ``_pieces``."""
    return b"".join(bytes((len(part),)) + part for part in parts)


def _nested() -> bytes:
    data = b""
    for _ in range(_DEPTH):
        data = tlv.encode(0x30, data)
    return data


_DEPTH = 1_500  # deeper than Python's own stack
_ENDLESS = bytes.fromhex("BF6161 9F01FF FF")
_MAP_KEY = bytes.fromhex("A1A10203 04")
_DEEP = b"\x81" * _DEPTH
_CODE = phone.code()
_BASE45 = _CODE.removeprefix(PREFIX).encode()
_BINARY = base45.decode(_text(_BASE45))
_RECORD = seal(sale(FIRST_HEAD), TERMINAL_KEY).data
_CREDENTIAL = signed_credential(bytes(16), phone.PHONE.verifier.public)
_PUBLIC = cose.public_key("Ed25519", TERMINAL_KEY.verifier.public)
_LINK = b"?s=" + test_ntag424.ask_sun(test_ntag424.issued()).proof
_FILE = template("card.example/t", "pier", "harbour", SunMode.AES).file
_PICC = PiccData(bytes(7), 1, SunMode.AES)
_MEMBER = file_card.Member(bytes(16), "harbour", 20_001).encode()
_SETTINGS = (
    bytes.fromhex("0000 0E EE 000200"),
    bytes.fromhex("0201 3412 00000000 80841E00 00000000 00"),
    bytes.fromhex("0481 3412 200000 060000 050000 0122FF"),
    bytes.fromhex("0501 3412 0201"),
)
_TAG = b"\x02" + b"0A00B1C2D3AA" + b"\x03"
_TRACK_2 = b";6012345678901234=2512101?7\r"

PARSERS: dict[str, Target] = {
    "atr": Target(
        _atr,
        (
            bytes.fromhex("3B8F80018073 8021C0595441504C454447455 29D".replace(" ", "")),
            bytes.fromhex("3B8F8001804F0CA000000306030001000000006A"),
            bytes.fromhex("3B951381018073FF01000B"),
            bytes.fromhex("067577810280"),
        ),
        (atr.AtrError,),
    ),
    "tlv": Target(tlv.parse, (bytes.fromhex("6F0784 02A001A50180"),), (tlv.TlvError,)),
    "tlv_tree": Target(
        tlv.parse_tree, (bytes.fromhex("7F49068604DEADBEEF"), _nested()), (tlv.TlvError,)
    ),
    "response": Target(
        _response,
        (
            _framed(b"\x90\x00", b"ab\x61\x02", b"\x6c\x04", b"abcd\x90\x00"),
            _framed(b"\x90\x00", b"\x61\x02"),
        ),
    ),
    "cbor": Target(cbor.decode, (_BINARY, _RECORD, _ENDLESS, _MAP_KEY, _DEEP)),
    "cose": Target(lambda data: cose.verify(cose.read(data), _PUBLIC), (_RECORD, _CREDENTIAL)),
    "base45": Target(
        lambda data: base45.decode(_text(data)),
        (_CODE.removeprefix(PREFIX).encode(), b"%69 VD92EX0"),
    ),
    "code": Target(lambda data: _code(_text(data)), (_CODE.encode(),)),
    "code_inside": Target(lambda data: _code(PREFIX + base45.encode(data)), (_BINARY,)),
    "code_shown": Target(lambda data: _shown(PREFIX + base45.encode(data)), (_BINARY,), ()),
    "sun": Target(_sun, (seal_picc(bytes(16), _PICC, bytes(8)) + bytes(32),)),
    "sun_plain": Target(
        lambda data: plain_picc(_text(data[:14]), _text(data[14:])), (b"04616263646566000001",)
    ),
    "sun_link": Target(_link, (_LINK,)),
    "sun_file": Target(link_in, (_FILE,)),
    "originality": Target(_originality, (bytes(63),), ()),
    "number": Target(_number, (b"04A1B2C3", b"0012345678", _TRACK_2.strip()), ()),
    "serial_device": Target(
        lambda data: Device.parse(_text(data), frozenset({"baud", "suffix"})).baud(9_600),
        (b"/dev/ttyUSB0?baud=9600&suffix=%03",),
    ),
    "serial_em4100": Target(
        _framer(lambda: serial_tag.framer(EM4100_FRAME)), (_framed(_TAG, _TAG[:5], _TAG[5:]),), ()
    ),
    "serial_track2": Target(_framer(lambda: serial_tag.framer("track2")), (_framed(_TRACK_2),), ()),
    "scanner": Target(
        _framer(lambda: scanner.framer("]Q1")),
        (_framed(b"]Q1HELLO\r\n", "]Q1会员".encode()),),
        (),
    ),
    "keyboard": Target(
        _framer(lambda: keyboard_wedge.KeyFramer("text")), (_framed(_key(30), _key(28)),), ()
    ),
    "pn532_frames": Target(
        _framer(lambda: HostFrames().feed),
        (_framed(bytes.fromhex("0000FF02FED4022A00"), bytes.fromhex("0000FF00FF00")),),
        (),
    ),
    "cap": Target(cap.read, (cap_file(method_bytes=20),)),
    "desfire_settings": Target(FileSettings.parse, _SETTINGS),
    "desfire_version": Target(Version.parse, (bytes(28),)),
    "member_file": Target(file_card.Member.decode, (_MEMBER,)),
    "pboc_load": Target(pboc.LoadOffer.decode, (bytes(16),)),
    "pboc_purchase": Target(pboc.PurchaseOffer.decode, (bytes(15),)),
    "scp02": Target(scp02.Greeting.decode, (bytes(11) + b"\x02" + bytes(16),)),
    "scp03": Target(scp03.Greeting.decode, (bytes(11) + b"\x03" + bytes(17),)),
    "credential": Target(lambda data: accept(data, TRUST.issuers), (_CREDENTIAL,)),
    "record": Target(record.read, (_RECORD,)),
    "record_inside": Target(lambda data: decode(data, Record), (encode(sale(FIRST_HEAD)),)),
    "batch": Target(unpack, (pack([_RECORD]),)),
}
