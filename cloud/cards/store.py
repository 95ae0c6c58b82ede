"""Counters of tags in the database, and which card a tag is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, TextClause, select, text

from cloud.cards.model import TagRead
from cloud.storage.schema import cards
from protocol.member_list import CardState

TAG_FAMILY = "ntag424"


def raise_counters(connection: Connection, reads: Sequence[TagRead], now_ms: int) -> list[bool]:
    """Raise each tag's counter to what it says, in order; False where it had said so before.

    The statement reads and writes at once, so that of two who come with one message one wins.
    """
    risen = [False] * len(reads)
    for places in _rounds(reads):
        values: dict[str, bytes | int] = {"now": now_ms}
        for at in places:
            values[f"u{at}"], values[f"c{at}"] = reads[at]
        raised = set(connection.execute(_statement(places), values).scalars())
        for at in places:
            risen[at] = reads[at].uid in raised
    return risen


def _rounds(reads: Sequence[TagRead]) -> Iterable[list[int]]:
    """Places of ``reads`` in rounds that name no tag twice: no statement may change a row twice."""
    rounds: list[list[int]] = []
    seen: dict[bytes, int] = {}
    for at, read in enumerate(reads):
        number = seen.get(read.uid, 0)
        seen[read.uid] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(at)
    return rounds


def _statement(places: Iterable[int]) -> TextClause:
    rows = ", ".join(f"(:u{at}, :c{at}, :now)" for at in places)
    return text(
        f"""INSERT INTO tag_counters (uid, counter, read_ms) VALUES {rows}
        ON CONFLICT (uid) DO UPDATE SET counter = excluded.counter, read_ms = excluded.read_ms
        WHERE excluded.counter > tag_counters.counter RETURNING uid"""  # noqa: S608
    )


def card_of(connection: Connection, uid: bytes) -> tuple[str, CardState] | None:
    """Whose card a tag is and its state; None when it was registered without its number."""
    query = select(cards.c.member, cards.c.state)
    row = connection.execute(
        query.where(cards.c.number == uid, cards.c.family == TAG_FAMILY)
    ).one_or_none()
    return None if row is None else (row[0], CardState(row[1]))
