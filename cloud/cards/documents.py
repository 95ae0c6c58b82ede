"""JSON document of a tag's message."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cloud.http.document import Document


class TagDocument(Document):
    """A genuine message that was never shown before; whose card it is, for those who may see."""

    tenant: Annotated[str, Field(description="Whose programme the card is of.")]
    member: Annotated[
        str | None,
        Field(description="Null without a token that may see the books, or when nobody's."),
    ] = None
    state: Annotated[
        str | None, Field(description="active, frozen, lost or cancelled; null as above.")
    ] = None
