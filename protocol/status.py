"""What a terminal says of itself: birth, and the death that its broker publishes for it.

Not signed and never trusted with money: it only feeds the console.
"""

from __future__ import annotations

from msgspec import Struct

from protocol.record import Code, Count, Text


class Status(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """``session`` is new at each connection: a death of another session is a late one.

    ``oldest_ms`` is the wall clock of the oldest unacknowledged record, 0 when there is none;
    ``certificate_ends_ms`` is until when the broker will let the terminal in, 0 when not known;
    ``scanner`` and ``printer`` are empty where there is none.
    """

    version: int = 1
    online: bool
    session: Code
    agent: Code = ""
    epoch: Count = 0
    head_seq: Count = 0
    acked_seq: Count = 0
    oldest_ms: Count = 0
    bundle_version: Count = 0
    list_version: Count = 0
    reader: Code = ""
    locked: bool = False
    note: Text = ""
    certificate_ends_ms: Count = 0
    scanner: Code = ""
    printer: Code = ""
