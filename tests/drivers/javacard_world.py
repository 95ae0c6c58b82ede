"""JavaCards for tests: CAP files, keys of both protocols, dialogues held with software cards."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

from drivers import cap
from drivers.apdu import Steps
from drivers.globalplatform import Channel, KeySet, install, open_channel, store_data
from drivers.secure_channel import scp02, scp03
from drivers.virtual.cards.globalplatform import JavaCard
from drivers.virtual.cards.globalplatform_state import FACTORY_VERSION, JavaCardState
from tests.drivers.frame_world import draws
from tests.drivers.world import DirectReader, do

FACTORY_KEY = bytes.fromhex("404142434445464748494A4B4C4D4E4F")
PACKAGE, MODULE = bytes.fromhex("F0544C504B47"), bytes.fromhex("F0544C504B4701")
INSTANCE = bytes.fromhex("F0544C494E5354")
CHALLENGE = bytes(range(8))
PARAMETERS = b"\x01\x02"
STORED = {0x0101: b"hello", 0x0102: bytes(200), 0x0103: bytes(range(200))}
GROUPINGS = b"".join(
    number.to_bytes(2, "big") + bytes((len(data),)) + data for number, data in STORED.items()
)
LEVELS = {2: scp02.LEVELS, 3: scp03.LEVELS}


def key_set(protocol: int, version: int = FACTORY_VERSION, seed: bytes = b"") -> KeySet:
    """The factory's keys, or some of the issuer's own."""
    one, two, three = (
        (bytes((n,)) + seed).ljust(16, b"\x55") if seed else FACTORY_KEY for n in (1, 2, 3)
    )
    if protocol == scp03.PROTOCOL:
        return KeySet(version, scp03.StaticKeys(one, two, three))
    return KeySet(version, scp02.Keys(one, two, three))


def component(tag: int, body: bytes) -> bytes:
    """One component of a CAP file."""
    return bytes((tag,)) + len(body).to_bytes(2, "big") + body


def cap_file(package: bytes = PACKAGE, module: bytes = MODULE, method_bytes: int = 600) -> bytes:
    """A CAP file as a build makes it, Debug included."""
    header = bytes.fromhex("DECAFFED0102040001") + bytes((len(package),)) + package
    parts = {
        "Header": component(1, header),
        "Applet": component(3, b"\x01" + bytes((len(module),)) + module + b"\x00\x08"),
        "Method": component(7, bytes(method_bytes)),
        "ConstantPool": component(5, b"\x00\x00"),
        "Debug": component(12, b"not for the card"),
    }
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, content in reversed(parts.items()):
            archive.writestr(f"com/example/javacard/{name}.cap", content)
    return file.getvalue()


def java_card(protocol: int = 3) -> JavaCard:
    """A card as delivered."""
    return JavaCard(JavaCardState.blank(protocol, FACTORY_KEY), draw=draws())


def channel(reader: DirectReader, level: int | None = None, *key_sets: KeySet) -> Channel:
    """An open channel; at the highest level, with the factory's keys, if nothing else is said."""
    protocol = state(reader).protocol
    wanted = level or LEVELS[protocol][-1]
    return do(open_channel(key_sets or (key_set(protocol),), CHALLENGE, wanted), reader)


def provide(key_sets: tuple[KeySet, ...], level: int) -> Steps[None]:
    """Everything: load, install, store."""
    opened = yield from open_channel(key_sets, CHALLENGE, level)
    yield from install(opened, cap.read(cap_file()), MODULE, INSTANCE, PARAMETERS)
    yield from store_data(opened, INSTANCE, GROUPINGS)


def state(reader: DirectReader) -> JavaCardState:
    """What the card on the reader keeps."""
    assert isinstance(reader.card, JavaCard)
    return reader.card.state
