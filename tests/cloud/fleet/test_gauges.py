"""What Prometheus is told of the fleet is what the database says at that moment."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from cloud.fleet import store as fleet
from cloud.fleet.gauges import FleetGauges
from cloud.ledger.transaction import Ledger
from cloud.storage.engine import open_database
from protocol.status import Status
from tests.cloud.town import MORNING_MS, Town

AT = {"site": "site-1", "terminal": "t-0001"}


def test_queue_and_lag_are_of_what_the_ledger_lacks(town: Town, ledger: Ledger) -> None:
    registry = CollectorRegistry()
    registry.register(FleetGauges(town.database, lambda: MORNING_MS))
    till = town.add_till("t-0001")
    town.add_till("t-0002")
    said = Status(
        online=True,
        session="s",
        epoch=1,
        head_seq=3,
        oldest_ms=MORNING_MS - 90_000,
        certificate_ends_ms=MORNING_MS + 36 * 3_600_000,
        reader="ready",
        printer="paper",
    )
    with town.database.write() as connection:
        fleet.hear_status(connection, "t-0001", said, MORNING_MS)

    def gauge(name: str, labels: dict[str, str]) -> float | None:
        return registry.get_sample_value(f"tapledger_{name}", labels)

    assert gauge("terminals", {"presence": "online"}) == 1
    assert gauge("terminals", {"presence": "never"}) == 1
    assert gauge("terminals", {"presence": "silent"}) == 0
    assert gauge("queue_records", AT) == 3
    assert gauge("watermark_lag_seconds", AT) == 90
    assert gauge("certificate_days", AT) == 1.5
    assert gauge("certificate_days", {**AT, "terminal": "t-0002"}) is None
    assert gauge("device_ready", {**AT, "device": "reader"}) == 1
    assert gauge("device_ready", {**AT, "device": "printer"}) == 0
    assert gauge("device_ready", {**AT, "device": "scanner"}) is None
    ledger.ingest([till.batch(*(till.open() for _ in range(3)))])
    assert gauge("queue_records", AT) == 0
    assert gauge("watermark_lag_seconds", AT) == 0


def test_a_database_that_is_away_costs_the_gauges_alone(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    gauges = FleetGauges(open_database("sqlite:///never-migrated.db", tmp_path), lambda: 0)
    registry.register(gauges)
    assert list(gauges.collect()) == []
