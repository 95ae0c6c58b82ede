"""The cloud's word on time: it rises, whatever the machine's clock does."""

from __future__ import annotations

from cloud.clock import RisingClock, newest_time
from cloud.fleet import store as fleet
from cloud.ledger.transaction import Ledger
from protocol.shadow import Reported
from tests.cloud.town import CURRENCY, MORNING_MS, Town

HOUR_MS = 3_600_000


def test_a_clock_that_is_set_back_stands_until_the_time_has_caught_up() -> None:
    machine = iter((1_000, 5_000, 2_000, 4_999, 5_001))
    clock = RisingClock(lambda: next(machine), 1_500)
    assert [clock() for _ in range(5)] == [1_500, 5_000, 5_000, 5_000, 5_001]


def test_the_newest_time_is_that_of_a_record_or_of_a_report(town: Town) -> None:
    def newest() -> int:
        with town.database.read() as connection:
            return newest_time(connection)

    assert newest() == 0
    now_ms = [MORNING_MS]
    ledger = Ledger(town.database, CURRENCY, lambda: now_ms[0])
    one, two = town.add_till("t-0001"), town.add_till("t-0002")
    ledger.ingest([one.batch(one.open())])
    now_ms[0] += HOUR_MS
    ledger.ingest([two.batch(two.open(), two.sale(None, tender="cash"))])
    assert newest() == MORNING_MS + HOUR_MS
    with town.database.write() as connection:
        fleet.hear_reported(connection, "t-0001", Reported(), MORNING_MS + 2 * HOUR_MS)
    assert newest() == MORNING_MS + 2 * HOUR_MS
