"""Tells systemd how the agent is: sd_notify(3) without a library."""

from __future__ import annotations

import socket
from collections.abc import Mapping


class Notifier:
    """Speaks to the socket that NOTIFY_SOCKET names; says nothing when there is none.

    ``environment`` is that of the process. ``beat_s`` is how often ``beat`` must come, None when
    nobody watches.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        # Half of what systemd waits, as sd_watchdog_enabled(3) advises.
        self.beat_s = int(watchdog_us) / 2_000_000 if watchdog_us.isdecimal() else None

    def ready(self) -> None:
        """The terminal answers taps."""
        self._say("READY=1")

    def beat(self) -> None:
        """The agent's loop has turned."""
        self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """The agent ends because it was asked to."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), self._address)
