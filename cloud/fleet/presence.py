"""Whether a terminal is there, by what was heard and not by what it last claimed. Pure."""

from __future__ import annotations

from enum import StrEnum

from cloud.fleet.model import Terminal

# A terminal that missed three reports is silent, whatever the broker still says of it.
REPORTS_MISSED_MAX = 3


class Presence(StrEnum):
    """What is known of a terminal's line."""

    ONLINE = "online"
    SILENT = "silent"  # its broker session lives, but nothing is heard
    OFFLINE = "offline"
    NEVER = "never"


def presence(terminal: Terminal, now_ms: int) -> Presence:
    """Return what is known of ``terminal`` at ``now_ms``."""
    if not terminal.heard_ms:
        return Presence.NEVER
    if not terminal.online:
        return Presence.OFFLINE
    allowed_ms = REPORTS_MISSED_MAX * terminal.status_every_s * 1000
    return Presence.ONLINE if now_ms - terminal.heard_ms <= allowed_ms else Presence.SILENT
