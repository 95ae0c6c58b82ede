"""The bundles that this terminal holds, and which is in force when. Their disk is the cache."""

from __future__ import annotations

from edge.decide import InForce
from protocol.errors import BadBundle, ProtocolError
from protocol.record import BundleRef
from protocol.rules.bundle import Bundle, Published
from protocol.rules.evaluate import Pricing


class Bundles:
    """In force is the highest number whose time has come; times are UTC in ms."""

    def __init__(self) -> None:
        self._ready: dict[int, InForce] = {}

    def arm(self, published: Published) -> None:
        """Make a verified bundle ready; BadBundle when it must never be in force."""
        pricing = Pricing(published.bundle)
        try:
            pricing.check_golden()
        except BadBundle:
            raise
        except ProtocolError as error:
            raise BadBundle(f"golden vectors: {error}") from error
        number = published.bundle.number
        known = self._ready.get(number)
        if known is not None and known.ref.digest != published.digest:
            raise BadBundle(f"number {number} is that of another bundle")
        self._ready[number] = InForce(pricing, BundleRef(number, published.digest))

    def forget(self, wall_ms: int, kept: int) -> None:
        """Drop those below the one in force but the newest ``kept``.

        A clock that was ahead and is mended asks for those.
        """
        in_force = self.in_force(wall_ms)
        below = sorted(
            number for number in self._ready if in_force and number < in_force.ref.version
        )
        for number in below[:-kept]:
            del self._ready[number]

    def in_force(self, wall_ms: int) -> InForce | None:
        """Return the bundle by which to price at ``wall_ms``."""
        begun = [bundle.number for bundle in self._all() if bundle.activate_ms <= wall_ms]
        return self._ready[max(begun)] if begun else None

    def armed(self, wall_ms: int) -> tuple[int, ...]:
        """Numbers of the bundles that wait for their time, ascending."""
        waiting = (bundle.number for bundle in self._all() if bundle.activate_ms > wall_ms)
        return tuple(sorted(waiting))

    def next_activation_ms(self, wall_ms: int) -> int | None:
        """When the next of them comes in force, None when none waits."""
        times = (bundle.activate_ms for bundle in self._all())
        return min((time for time in times if time > wall_ms), default=None)

    def _all(self) -> list[Bundle]:
        return [ready.pricing.bundle for ready in self._ready.values()]
