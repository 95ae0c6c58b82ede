"""What the terminal honestly knows of the time. Where the clocks come from is wiring's."""

from __future__ import annotations

from collections.abc import Callable

from protocol.moment import Moment, Quality

# What a clock that the network keeps in step may be off by, in ms.
SYNCHRONISED_MS = 1_000


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
        self._floor_ms = 0

    def not_before(self, wall_ms: int) -> None:
        """Note that it is ``wall_ms`` at least: our own records and signed messages say so."""
        self._floor_ms = max(self._floor_ms, wall_ms)

    def wall_ms(self) -> int:
        """Wall clock in ms since 1970, never before what is known to have been."""
        return max(int(self._wall_s() * 1000), self._floor_ms)

    def mono_ms(self) -> int:
        """Monotonic clock in ms."""
        return int(self.mono_s() * 1000)

    def moment(self) -> Moment:
        """Return now, with how far it may be trusted."""
        wall_ms = int(self._wall_s() * 1000)
        if wall_ms >= self._floor_ms and self._is_synchronised():
            quality, uncertainty = Quality.BOUNDED, SYNCHRONISED_MS
        else:
            quality, uncertainty = Quality.FLOOR, 0
        wall_ms = max(wall_ms, self._floor_ms)
        return Moment(self._boot, self.mono_ms(), wall_ms, quality, uncertainty)
