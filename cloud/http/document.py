"""What JSON documents of the API are made of: strict bodies, bytes as text, pages."""

from __future__ import annotations

import binascii
from base64 import b64encode
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from protocol.errors import Malformed
from protocol.identifiers import check_level

# One answer stays small enough for a slow line; `next` leads on.
PAGE_MAX = 500
PAGE_DEFAULT = 100


class Body(BaseModel):
    """What a caller sends: an unknown field is refused, a type is never guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Document(BaseModel):
    """What the API answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _level(text: str) -> str:
    try:
        return check_level(text)
    except Malformed as error:
        raise ValueError(error.detail) from error


def from_hex(value: object) -> bytes:
    """The bytes that a text of hex characters says; ValueError for anything else."""
    try:
        return binascii.unhexlify(value if isinstance(value, str) else "?")
    except ValueError as error:
        raise ValueError("must be hex characters, two for each byte") from error


Level = Annotated[
    str,
    AfterValidator(_level),
    Field(
        description="1 to 40 of a-z, 0-9 and inner hyphens.",
        examples=["t-0001"],
        json_schema_extra={"pattern": "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"},
    ),
]
Milliseconds = Annotated[int, Field(ge=0, lt=1 << 48, description="UTC, ms since 1970.")]
Since = Annotated[int, Field(description="UTC, ms since 1970; 0 = never.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="At most so many.")]
TerminalPath = Annotated[
    str, Path(description="The terminal's id.", examples=["t-0001"], max_length=40)
]
MemberPath = Annotated[
    str, Path(description="The member's id.", examples=["m-000001"], max_length=40)
]


def base64_text(data: bytes) -> str:
    """Bytes as they stand in JSON when they are more than an identifier."""
    return b64encode(data).decode()
