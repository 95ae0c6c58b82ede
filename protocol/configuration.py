"""Configuration files of the programs: TOML, checked whole. Reading the file is the program's."""

from __future__ import annotations

import re
import tomllib
from typing import TypeVar

import msgspec
from msgspec import Struct

from protocol.errors import Malformed

Configuration = TypeVar("Configuration", bound=Struct)


def parse(text: str, kind: type[Configuration]) -> Configuration:
    """Return what ``text`` says; Malformed names the key that is wrong, as ``mqtt.port: ...``."""
    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise Malformed(str(error)) from error
    except msgspec.ValidationError as error:
        place = re.fullmatch(r"(.*) - at `\$\.?(.*)`", str(error))
        raise Malformed(f"{place[2]}: {place[1]}" if place else str(error)) from error
