"""What the terminal honestly knows of the time. Where the clocks come from is wiring's."""

from __future__ import annotations

from collections.abc import Callable

from edge.errors import TimeAhead
from protocol.moment import Moment, Quality

# What a clock that the network keeps in step may be off by, in ms.
SYNCHRONISED_MS = 1_000
# More than this between two records cannot be drift: somebody or something set the clock.
STEP_MS = 5_000
# Two clocks in step differ by seconds; a wrong time zone on either side makes less than a day. A
# word from farther ahead would make every honest one after it a repeat of the past.
AHEAD_MS = 86_400_000


class Clock:
    """Makes moments. ``wall_s`` and ``mono_s`` are clocks in seconds; ``boot`` names the boot.

    ``is_synchronised`` says whether the network keeps the wall clock in step.
    """

    def __init__(
        self,
        wall_s: Callable[[], float],
        mono_s: Callable[[], float],
        is_synchronised: Callable[[], bool],
        boot: bytes,
    ) -> None:
        self._wall_s, self.mono_s = wall_s, mono_s
        self._is_synchronised = is_synchronised
        self._boot = boot
        self._own_ms = 0
        self.signed_ms = 0  # the cloud's clock in the newest word of it

    def not_before(self, wall_ms: int) -> None:
        """Note that our own records say ``wall_ms``: their clock may have been wrong."""
        self._own_ms = max(self._own_ms, wall_ms)

    def check(self, server_ms: int) -> None:
        """TimeAhead when the cloud's ``server_ms`` cannot be: our clock is known to be right."""
        now = self.moment()
        if now.quality is Quality.BOUNDED and server_ms > now.wall_ms + AHEAD_MS:
            raise TimeAhead(f"by {(server_ms - now.wall_ms) // 1000} s")

    def heard(self, server_ms: int) -> None:
        """Note that the cloud signed that it is ``server_ms`` at least."""
        self.signed_ms = max(self.signed_ms, server_ms)

    def wall_ms(self) -> int:
        """Wall clock in ms since 1970, never before what is known to have been."""
        return self.moment().wall_ms

    def mono_ms(self) -> int:
        """Monotonic clock in ms."""
        return int(self.mono_s() * 1000)

    def moment(self) -> Moment:
        """Return now, with how far it may be trusted."""
        wall_ms, is_synchronised = int(self._wall_s() * 1000), self._is_synchronised()
        if wall_ms >= self.signed_ms and is_synchronised:
            quality, uncertainty, floor_ms = Quality.BOUNDED, SYNCHRONISED_MS, self.signed_ms
        else:
            quality, uncertainty, floor_ms = Quality.FLOOR, 0, max(self._own_ms, self.signed_ms)
        return Moment(self._boot, self.mono_ms(), max(wall_ms, floor_ms), quality, uncertainty)


def stepped_ms(before: Moment, after: Moment) -> int:
    """How far the wall clock was set between two moments, 0 when that cannot be told."""
    if before.boot != after.boot or after.quality is not Quality.BOUNDED:
        return 0
    return (after.wall_ms - before.wall_ms) - (after.mono_ms - before.mono_ms)
