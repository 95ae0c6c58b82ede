"""What pages and API ask of the books gives the same on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from cloud.ledger.figures import Figures, SiteSales, figures, sales_by_site
from cloud.ledger.search import Found, Query, find
from cloud.ledger.statement import statement
from cloud.members.figures import figures as member_figures
from cloud.storage.engine import Database
from cloud.storage.schema import balances
from protocol.record import Kind
from tests.cloud.day import PEOPLE, live_a_morning


@pytest.fixture
def books(database: Database) -> Database:
    """A morning of three terminals."""
    live_a_morning(database)
    return database


def places(found: list[Found]) -> list[tuple[str, int]]:
    return [(each.terminal, each.seq) for each in found]


def test_records_are_found_by_all_that_names_them(books: Database) -> None:
    with books.read() as connection:
        everything = find(connection, Query(), 100)
        assert len(everything) == 27
        times = [each.occurred_ms for each in everything]
        assert times == sorted(times, reverse=True)
        assert len(find(connection, Query(), 5)) == 5
        for one in everything:
            receipt = f"{one.terminal}-{one.epoch}-{one.seq}"
            assert places(find(connection, Query(text=receipt))) == [(one.terminal, one.seq)]
        assert {each.terminal for each in find(connection, Query(terminal="t-0002"))} == {"t-0002"}
        assert places(find(connection, Query(kind=Kind.VOID))) == [("t-0001", 13)]
        own = find(connection, Query(member="m-000001"))
        assert {each.member for each in own} == {"m-000001"}
        assert find(connection, Query(text="' OR 1=1 --")) == []
        assert find(connection, Query(text="t-0001-999999999-999999999999")) == []


def test_a_statement_runs_to_the_balance(books: Database) -> None:
    with books.read() as connection:
        for member in PEOPLE:
            whole = statement(connection, member)
            assert sum(line.value for line in whole) == whole[0].value_after
            assert sum(line.points for line in whole) == whole[0].points_after
            pages = [statement(connection, member, None, 1)]
            while pages[-1]:
                pages.append(statement(connection, member, pages[-1][0].mark, 1))
            assert [line for page in pages for line in page] == whole


def test_the_books_balance_and_a_loss_is_seen(books: Database) -> None:
    with books.read() as connection:
        assert figures(connection) == Figures(27, 1, {"CNY": 0, "PT": 0})
        before = sales_by_site(connection)
    assert [site.site for site in before] == ["site-1", "site-2"]
    assert all(site.amount > 0 for site in before)
    with books.write() as connection:
        changed = update(balances).where(balances.c.account == "sales:site-1")
        connection.execute(changed.values(amount=balances.c.amount - 1))
    with books.read() as connection:
        assert figures(connection).off == {"CNY": -1, "PT": 0}
        assert sales_by_site(connection)[0] == SiteSales("site-1", before[0].amount + 1)


def test_what_members_hold_together(books: Database) -> None:
    with books.read() as connection:
        found = member_figures(connection)
        held = [statement(connection, member)[0].value_after for member in PEOPLE]
    assert (found.members, found.cards) == (len(PEOPLE), len(PEOPLE))
    assert found.principal - found.overdraft == sum(held)


def test_an_empty_ledger_has_figures(database: Database) -> None:
    with database.read() as connection:
        assert figures(connection) == Figures(0, 0, {})
        assert sales_by_site(connection) == []
        assert member_figures(connection) == (0, 0, 0, 0, 0)
        assert find(connection, Query()) == []
