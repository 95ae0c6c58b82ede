"""A moment's failure keeps no record apart; a database that may not write is down."""

from __future__ import annotations

import pytest

from cloud.errors import StorageDown
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from tests.cloud.ledger.books import fold_of, reasons, verdict_of
from tests.cloud.town import CURRENCY, MORNING_MS, Town


class FailsAt:
    """A clock at which a machine without memory shows at its ``failing`` readings."""

    def __init__(self, *failing: int) -> None:
        self._failing = failing
        self._readings = 0

    def __call__(self) -> int:
        self._readings += 1
        if self._readings in self._failing:
            raise MemoryError
        return MORNING_MS


@pytest.mark.parametrize("failing", [(1,), (2,), (1, 3)])
def test_a_failure_that_passes_keeps_nothing_apart(town: Town, failing: tuple[int, ...]) -> None:
    town.add_members("ann")
    till = town.add_till("t-0001")
    ledger = Ledger(town.database, CURRENCY, FailsAt(*failing))
    batches = [till.batch(till.open(), till.top_up("ann", 7)), till.batch(till.top_up("ann", 8))]
    for batch in batches:
        assert ledger.ingest([batch]).refusals == ()
    assert reasons(town.database) == []
    assert fold_of(town.database, "ann").principal == 15


@pytest.mark.postgres
def test_a_database_that_may_only_be_read_is_down(postgres_town: Town) -> None:
    """So it is for some seconds when a standby takes over."""
    till, database = postgres_town.add_till("t-0001"), postgres_town.database
    ledger = Ledger(database, CURRENCY, lambda: MORNING_MS)
    batch = till.batch(till.open(), till.top_up("ann", 7))
    name = database.engine.url.database
    with database.write() as connection:
        read_only = "SET default_transaction_read_only = on"
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" {read_only}')
    database.engine.dispose()
    with pytest.raises(StorageDown):
        ledger.ingest([batch])
    with pytest.raises(StorageDown), database.write() as connection:
        members.add_member(connection, "bob", "Bob", MORNING_MS)
    with database.read() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN READ WRITE")
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        connection.commit()
    database.engine.dispose()
    (mark,) = ledger.ingest([batch]).watermarks
    assert (mark.upto_seq, mark.quarantined) == (2, ())
    assert fold_of(database, "ann").principal == 7
    assert verdict_of(database).wrong == 0
