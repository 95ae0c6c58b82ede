"""Reads a CAP file (Java Card Virtual Machine Specification, chapter 6); loads none."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile, ZipFile

from drivers.errors import DriverError

# In the order in which a card takes them (6.2); Debug and Descriptor stay outside.
_COMPONENTS = (
    *("Header", "Directory", "Import", "Applet", "Class", "Method"),
    *("StaticField", "Export", "ConstantPool", "RefLocation"),
)
# What zipfile raises for an archive that is damaged, sealed or packed in a way it does not know.
_NOT_A_ZIP = (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)
_NOT_A_CAP = (*_NOT_A_ZIP, KeyError, IndexError)
_MAGIC = bytes.fromhex("DECAFFED")
# 256 LOAD commands of 239 bytes, less the header of the load file.
CODE_BYTES_MAX = 61_000
AID_BYTES = range(5, 17)  # ISO/IEC 7816-5


class CapRefused(DriverError):
    """A file that is to be put on a JavaCard and is no CAP file."""

    code = "cap_refused"
    what = "This file is no applet for a JavaCard"
    kept = "Nothing was put on the card."
    todo = "Choose the CAP file that the applet's build made."


@dataclass(frozen=True, slots=True)
class LoadFile:
    """A package: its AID, those of the applets in it, and the bytes that a card takes."""

    package: bytes
    modules: tuple[bytes, ...]
    code: bytes


def read(cap: bytes) -> LoadFile:
    """Return what the CAP file (a ZIP archive) has for a card; CapRefused when it is none."""
    try:
        with ZipFile(BytesIO(cap)) as archive:
            parts = {name.rpartition("/")[2]: name for name in archive.namelist()}
            found = {
                component: _read(archive, parts[f"{component}.cap"])
                for component in _COMPONENTS
                if f"{component}.cap" in parts
            }
        package = _package(found["Header"])
        modules = _modules(found["Applet"])
    except _NOT_A_CAP as error:
        raise CapRefused(f"not a CAP file with an applet: {error}") from error
    code = b"".join(found.values())
    if len(code) > CODE_BYTES_MAX:
        raise CapRefused(f"more than {CODE_BYTES_MAX} bytes")
    return LoadFile(package, modules, code)


def _read(archive: ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(CODE_BYTES_MAX + 1)
    if int.from_bytes(data[1:3], "big") != len(data) - 3:
        raise CapRefused(f"{name} is not as long as it says")
    return data


def _package(header: bytes) -> bytes:
    """The AID in the Header component (6.4)."""
    if header[3:7] != _MAGIC:
        raise CapRefused("no CAP header")
    return _aid(header, 12)


def _modules(applets: bytes) -> tuple[bytes, ...]:
    """The AIDs in the Applet component (6.6)."""
    aids, at = [], 4
    for _ in range(applets[3]):
        aids.append(_aid(applets, at))
        at += 1 + len(aids[-1]) + 2  # and the offset of its install method
    return tuple(aids)


def _aid(data: bytes, at: int) -> bytes:
    aid = data[at + 1 : at + 1 + data[at]]
    if len(aid) != data[at] or len(aid) not in AID_BYTES:
        raise CapRefused("an AID that is cut off")
    return aid
