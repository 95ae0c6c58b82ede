"""A terminal is online when it was heard, not when it last said so."""

from __future__ import annotations

import pytest

from cloud.fleet.model import Terminal
from cloud.fleet.presence import REPORTS_MISSED_MAX, Presence, presence
from protocol.watermark import Standing

NOW_MS = 1_790_000_000_000
EVERY_S = 30
ALLOWED_MS = REPORTS_MISSED_MAX * EVERY_S * 1000


@pytest.mark.parametrize(
    ("heard_ms", "online", "found"),
    [
        (0, False, Presence.NEVER),
        (NOW_MS, True, Presence.ONLINE),
        (NOW_MS - ALLOWED_MS, True, Presence.ONLINE),
        (NOW_MS - ALLOWED_MS - 1, True, Presence.SILENT),
        (NOW_MS, False, Presence.OFFLINE),
        (NOW_MS + 5_000, True, Presence.ONLINE),
    ],
)
def test_presence(heard_ms: int, online: bool, found: Presence) -> None:  # noqa: FBT001
    terminal = Terminal(
        terminal="t-0001",
        site="site-1",
        standing=Standing.ACTIVE,
        epoch=1,
        upto_seq=0,
        head_hash=bytes(32),
        quarantined=0,
        enrolled_ms=1,
        heard_ms=heard_ms,
        online=online,
        status=None,
        reported=None,
        revision=1,
        status_every_s=EVERY_S,
    )
    assert presence(terminal, NOW_MS) is found
