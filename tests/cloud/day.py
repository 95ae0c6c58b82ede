"""A morning in a small chain, through the real ingest: what the pages of the console show."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from cloud.fleet import store as fleet
from cloud.ledger.transaction import Ledger
from cloud.members import store as members
from cloud.rules import store as rules
from cloud.storage.engine import Database
from protocol.command import CommandDone
from protocol.member_list import CardState
from protocol.record import Kind, Sealed, Tender
from protocol.shadow import Reported
from protocol.status import Status
from tests.cloud.front import NOON_MS
from tests.cloud.town import (
    CURRENCY,
    MORNING_MS,
    Till,
    Town,
    build_town,
    card_of,
    issued_card,
    make_bundle,
)

PEOPLE = {
    "m-000001": "林美玲",
    "m-000002": "Wang Xiaoming",
    "m-000003": "陈思远",
    "m-000004": "Zhao Lei",
    "m-000005": "Sofia Marchetti",
    "m-000006": "黄子轩",
}
MINUTE_MS = 60_000


def live_a_morning(database: Database) -> Town:
    """Three terminals at two sites sell until noon; one is cut off, one record is not bookable."""
    town = build_town(database)
    ledger = Ledger(database, CURRENCY, lambda: NOON_MS - MINUTE_MS)
    with database.write() as connection:
        for member, name in PEOPLE.items():
            members.add_member(connection, member, name, MORNING_MS - 86_400_000)
            members.add_card(connection, issued_card(member))
    first, second, third = (
        town.add_till("t-0001"),
        town.add_till("t-0002"),
        town.add_till("t-0003", "site-2"),
    )
    _sell(ledger, first, second, third)
    _spoil(ledger, third)
    _say(database, first, second, third)
    with database.write() as connection:
        scheduled = make_bundle(2, activate_ms=NOON_MS + 3_600_000)
        rules.add_bundle(connection, scheduled, "head-office", NOON_MS - 5 * MINUTE_MS)
        members.set_card_state(
            connection, issued_card("m-000004").reference, CardState.LOST, NOON_MS - MINUTE_MS
        )
    return town


def _sell(ledger: Ledger, *tills: Till) -> None:
    for number, till in enumerate(tills):
        records = [till.open()]
        for place, member in enumerate(PEOPLE):
            till.at_ms += 7 * MINUTE_MS
            if number == 0:
                records.append(till.top_up(member, 5_000 + 2_500 * place))
            if place % 2 == number % 2:
                records.append(till.sale(member, ("p-3", 1 + place), (f"p-{place}", 1)))
            if place == 2:
                shown = till.record(
                    Kind.CARD_EVENT, card=card_of(member), reason="balance_shown", bundle=None
                )
                records.append(shown)
            if place == 4:
                declined = till.record(
                    Kind.DECLINE, card=card_of(member), reason="balance_too_low", order="order-x"
                )
                records.append(declined)
        if number == 0:
            records.append(till.void("m-000001", records[2].record.tid))
        commit(ledger, till, *records)


def _spoil(ledger: Ledger, till: Till) -> None:
    """A price that the bundle does not say, and a card that nobody issued."""
    dear = till.sale(
        "m-000002",
        lines=_dearer(till),
        tenders=(Tender("stored_value", 900),),
        earned=9,
    )
    strange = till.sale("m-999999", ("p-1", 1))
    commit(ledger, till, dear, strange)


def _dearer(till: Till) -> tuple[Any, ...]:
    line = till.pricing.price([("p-5", 1)], "").lines[0]
    return (structs.replace(line, net_price=900),)


def commit(ledger: Ledger, till: Till, *records: Sealed) -> None:
    """Bring records into the ledger as a batch; nothing of them may be refused."""
    done = ledger.ingest([till.batch(*records)])
    assert done.refusals == ()


def _say(database: Database, first: Till, second: Till, third: Till) -> None:
    for till, online, waiting, heard_ms in (
        (first, True, 0, NOON_MS - 4_000),
        (second, True, 3, NOON_MS - 11_000),
        (third, False, 41, NOON_MS - 52 * MINUTE_MS),
    ):
        seq = till.head.seq
        status = Status(
            online=online,
            session="s1",
            agent="0.1.0",
            epoch=1,
            head_seq=seq + waiting,
            acked_seq=seq,
            oldest_ms=heard_ms - 20_000 if waiting else 0,
            bundle_version=1,
            list_version=18,
            reader="ready",
            scanner="ready",
            printer="paper" if waiting else "ready",
        )
        with database.write() as connection:
            fleet.hear_status(connection, till.terminal, status, heard_ms)
            said = Reported(
                bundle_version=1, bundle_digest=till.published.digest, armed_versions=(2,)
            )
            fleet.hear_reported(connection, till.terminal, said, heard_ms)


def answer(database: Database, terminal: str, command_id: bytes) -> None:
    """The terminal says that it carried out a command."""
    with database.write() as connection:
        fleet.finish_command(connection, terminal, CommandDone(id=command_id, code="done"), NOON_MS)
