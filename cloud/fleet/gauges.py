"""How the fleet is, for Prometheus: read from the database at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from cloud.errors import StorageDown
from cloud.fleet.model import Terminal
from cloud.fleet.presence import Presence, presence
from cloud.fleet.store import all_terminals
from cloud.storage.engine import Database

_DAY_MS = 86_400_000


class FleetGauges(Collector):
    """Gauges of terminals; none while the database is away. ``clock_ms`` is UTC since 1970."""

    def __init__(self, database: Database, clock_ms: Callable[[], int]) -> None:
        self._database, self._clock_ms = database, clock_ms

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without a value: who registers them need not ask the database."""
        return gauges([], 0)

    def collect(self) -> Iterable[Metric]:
        """Return the gauges as they are now."""
        try:
            with self._database.read() as connection:
                terminals = all_terminals(connection)
        except StorageDown:
            return []
        return gauges(terminals, self._clock_ms())


def gauges(terminals: Iterable[Terminal], now_ms: int) -> list[Metric]:
    """Return what an operator wants to be woken by."""
    of = ["site", "terminal"]
    presences = GaugeMetricFamily(
        "tapledger_terminals", "Terminals by what is known of their line", labels=["presence"]
    )
    queue = GaugeMetricFamily(
        "tapledger_queue_records", "Records that the ledger does not have yet", labels=of
    )
    lag = GaugeMetricFamily(
        "tapledger_watermark_lag_seconds",
        "Age of the oldest record that the ledger does not have yet, by the terminal's clock",
        labels=of,
    )
    certificate = GaugeMetricFamily(
        "tapledger_certificate_days",
        "Days until the broker lets the terminal in no more, as far as the terminal said",
        labels=of,
    )
    ready = GaugeMetricFamily(
        "tapledger_device_ready",
        "1 while the terminal's reader, scanner or printer can be used, as far as it said",
        labels=[*of, "device"],
    )
    counted = Counter(dict.fromkeys(Presence, 0))
    for each in terminals:
        counted[presence(each, now_ms)] += 1
        queue.add_metric([each.site, each.terminal], each.queue)
        lag_ms = max(now_ms - each.oldest_ms, 0) if each.oldest_ms else 0
        lag.add_metric([each.site, each.terminal], lag_ms / 1000)
        if each.status is not None and (ends_ms := each.status.certificate_ends_ms):
            certificate.add_metric([each.site, each.terminal], (ends_ms - now_ms) / _DAY_MS)
        for device, health in _devices(each):
            ready.add_metric([each.site, each.terminal, device], health == "ready")
    for name, number in counted.items():
        presences.add_metric([name], number)
    return [presences, queue, lag, certificate, ready]


def _devices(terminal: Terminal) -> list[tuple[str, str]]:
    """Devices with their health; one of which the terminal says nothing is left out."""
    status = terminal.status
    if status is None:
        return []
    named = {"reader": status.reader, "scanner": status.scanner, "printer": status.printer}
    return [(device, health) for device, health in named.items() if health]
