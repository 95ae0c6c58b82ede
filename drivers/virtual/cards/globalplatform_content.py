"""What a software JavaCard does with packages, instances and stored data, behind its channel."""

from __future__ import annotations

from drivers import tlv
from drivers.apdu import CommandApdu
from drivers.virtual.cards.globalplatform_state import Instance, JavaCardState, Package
from drivers.virtual.command import Refused
from drivers.virtual.transmission import Answer

FOR_LOAD, FOR_INSTALL, FOR_PERSONALISATION = 0x02, 0x0C, 0x20
HEADER, APPLET = 1, 3  # tags of components in a load file
PAGE_BYTES = 200
"""Registry bytes in one answer, so that a long one takes several."""


class Content:
    """One channel's work on the card; what it has begun and not ended is gone with it."""

    def __init__(self, state: JavaCardState) -> None:
        self._state = state
        self._loading: bytes | None = None
        self._target: bytes | None = None
        self._blocks: list[bytes] = []
        self._pages: list[bytes] = []

    def install(self, command: CommandApdu) -> bytes:
        """INSTALL for its three purposes (11.5)."""
        fields = _fields(command.data)
        if command.p1 == FOR_LOAD and len(fields) == 5:
            self._begin_load(fields[0])
        elif command.p1 == FOR_INSTALL and len(fields) == 6:
            self._install(fields[0], fields[1], fields[2], fields[4])
        elif command.p1 == FOR_PERSONALISATION and len(fields) == 6:
            if fields[2] not in self._state.instances:
                raise Refused(0x6A88)
            self._target, self._blocks = fields[2], []
        else:
            raise Refused(0x6A86)
        return b"\x00"

    def _begin_load(self, package: bytes) -> None:
        if package in self._state.packages:
            raise Refused(0x6985)
        self._loading, self._blocks = package, []

    def _install(self, package: bytes, module: bytes, instance: bytes, parameters: bytes) -> None:
        known = self._state.packages.get(package)
        if known is None or module not in known.modules:
            raise Refused(0x6A88)
        if instance in self._state.instances or instance in self._state.packages:
            raise Refused(0x6985)
        self._state.instances[instance] = Instance(package, module, tlv.parse(parameters)[0xC9])

    def load(self, command: CommandApdu) -> bytes:
        """LOAD: blocks in their order; the package is real after the last (11.6)."""
        package = self._loading
        whole = self._collect(command, begun=package is not None)
        if whole is None or package is None:
            return b"\x00"
        self._loading = None
        try:
            code = tlv.parse(whole)[0xC4]
            name, modules = _contents(code)
        except (tlv.TlvError, KeyError, IndexError):
            raise Refused(0x6A80) from None
        if name != package:
            raise Refused(0x6A80)
        self._state.packages[package] = Package(modules, code)
        return b"\x00"

    def store_data(self, command: CommandApdu) -> bytes:
        """STORE DATA: groupings of a number (2 bytes), a length (1) and data; real at the end."""
        target = self._target
        whole = self._collect(command, begun=target is not None)
        if whole is None or target is None:
            return b""
        self._target = None
        found = {}
        while whole:
            size = whole[2] if len(whole) > 2 else 0
            if len(whole) < 3 + size:
                raise Refused(0x6A80)
            found[int.from_bytes(whole[:2], "big")] = whole[3 : 3 + size]
            whole = whole[3 + size :]
        self._state.instances[target].data |= found
        return b""

    def _collect(self, command: CommandApdu, *, begun: bool) -> bytes | None:
        """The data of all blocks after the last one, else None."""
        if not begun:
            raise Refused(0x6985)
        if command.p2 != len(self._blocks) & 0xFF:
            self._loading = self._target = None
            raise Refused(0x6A86)
        self._blocks.append(command.data)
        return b"".join(self._blocks) if command.p1 & 0x80 else None

    def delete(self, command: CommandApdu) -> bytes:
        """DELETE an instance, or a package that nothing was made of, or both (11.2)."""
        aid, state = tlv.parse(command.data)[0x4F], self._state
        if aid in state.instances:
            del state.instances[aid]
        elif aid in state.packages:
            made = [name for name, each in state.instances.items() if each.package == aid]
            if made and not command.p2 & 0x80:
                raise Refused(0x6985)
            state.instances = {
                name: each for name, each in state.instances.items() if name not in made
            }
            del state.packages[aid]
        else:
            raise Refused(0x6A88)
        return b"\x00"

    def status(self, command: CommandApdu, domain: bytes) -> Answer:
        """GET STATUS, one page after the other (11.4)."""
        if command.p2 == 0x02:
            names = {
                0x80: [domain],
                0x40: list(self._state.instances),
                0x20: list(self._state.packages),
            }.get(command.p1, [])
            self._pages = _paged([_line(name, command.p1) for name in names])
        elif command.p2 != 0x03:
            raise Refused(0x6A86)
        if not self._pages:
            raise Refused(0x6A88)
        page = self._pages.pop(0)
        return page, 0x6310 if self._pages else 0x9000


def _fields(data: bytes) -> list[bytes]:
    fields = []
    while data:
        size = data[0]
        if len(data) <= size:
            raise Refused(0x6A80)
        fields.append(data[1 : 1 + size])
        data = data[1 + size :]
    return fields


def _contents(code: bytes) -> tuple[bytes, list[bytes]]:
    """The package's AID and those of its applets, from the components of a load file."""
    parts = {}
    while code:
        size = int.from_bytes(code[1:3], "big")
        if len(code) < 3 + size:
            raise Refused(0x6A80)
        parts[code[0]], code = code[3 : 3 + size], code[3 + size :]
    header, applets, modules, at = parts[HEADER], parts[APPLET], [], 1
    for _ in range(applets[0]):
        modules.append(applets[at + 1 : at + 1 + applets[at]])
        at += 3 + applets[at]
    return header[10 : 10 + header[9]], modules


def _line(name: bytes, scope: int) -> bytes:
    lifecycle = {0x80: 0x0F, 0x40: 0x07, 0x20: 0x01}[scope]  # SECURED, SELECTABLE, LOADED
    body = tlv.encode(0x4F, name) + tlv.encode(0x9F70, bytes((lifecycle,)))
    return tlv.encode(0xE3, body + tlv.encode(0xC5, bytes(3)))


def _paged(lines: list[bytes]) -> list[bytes]:
    pages: list[bytes] = []
    for line in lines:
        if pages and len(pages[-1]) + len(line) <= PAGE_BYTES:
            pages[-1] += line
        else:
            pages.append(line)
    return pages
