"""Typed messages as deterministic CBOR: a map from field number to value, defaults left out.

A field's number is its place in the Struct, from 0. Nested Structs are arrays in field order. Where
the first field is ``version``, its default is the only version that this program speaks.
Encoding follows RFC 8949 section 4.2.1 (shortest integers, definite lengths, keys ascending);
decoding accepts exactly the bytes that encoding would make, and nothing else.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import cbor2
import msgspec
from msgspec import NODEFAULT, Struct

from protocol.errors import Malformed, WrongVersion

Message = TypeVar("Message", bound=Struct)

_BYTES: tuple[type, ...] = (bytes,)
_FEATURES: dict[str, Any] = {"builtin_types": _BYTES}


@cache
def _shape(kind: type[Struct]) -> tuple[range, tuple[object, ...]]:
    """Numbers and defaults of the fields."""
    defaults = tuple(
        field.default if field.default_factory is NODEFAULT else NODEFAULT
        for field in msgspec.structs.fields(kind)
    )
    return range(len(defaults)), defaults


def encode(message: Struct) -> bytes:
    """Return the one encoding of ``message``, which must be an ``array_like`` Struct."""
    values: list[Any] = msgspec.to_builtins(message, **_FEATURES)
    present = {
        number: value
        for number, default, value in zip(*_shape(type(message)), values, strict=True)
        if value != default
    }
    return cbor2.dumps(present)


def decode(data: bytes, kind: type[Message]) -> Message:
    """Return the message in ``data``; Malformed unless they are its one encoding.

    WrongVersion when it is one of another version, whatever else it says.
    """
    message = decode_own(data, kind)
    if encode(message) != data:
        raise Malformed(f"{kind.__name__}: not in its one encoding")
    return message


def decode_own(data: bytes, kind: type[Message]) -> Message:
    """Return the message in ``data`` that this program encoded itself: a third of the time.

    Never for bytes of others: another encoding of the same message passes here.
    """
    try:
        present = cbor2.loads(data)
        if type(present) is not dict:
            raise Malformed(f"{kind.__name__}: not a map")
        numbers, defaults = _shape(kind)
        if kind.__struct_fields__[0] == "version" and present.get(0, defaults[0]) != defaults[0]:
            raise WrongVersion(kind.__name__)
        values = list(map(present.get, numbers, defaults))
        message: Message = msgspec.convert(values, kind, **_FEATURES)
    except (Malformed, WrongVersion):
        raise
    except (cbor2.CBORDecodeError, msgspec.ValidationError, ValueError, TypeError) as error:
        raise Malformed(f"{kind.__name__}: {str(error)[:120]}") from error
    return message
