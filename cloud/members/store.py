"""Members and cards in the database, and what changed since a terminal last heard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, Row, Select, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cloud.errors import CardExists, MemberExists, UnknownCard, UnknownMember
from cloud.members.model import Changes, Member, MemberCard, check_step
from cloud.storage import counters
from cloud.storage.schema import cards, members, states
from cloud.storage.states import COLUMNS, columns_of, state_of
from protocol.member_list import MEMBERS_MAX, CardEntry, CardState, Snapshot
from protocol.membership.state import EMPTY

# One page of a listing.
PAGE = 100
_STATE = tuple(states.c[name] for name in COLUMNS)


def add_member(connection: Connection, member: str, name: str, now_ms: int) -> None:
    """Add a member with an empty account; MemberExists when the id is taken."""
    try:
        connection.execute(insert(members).values(member=member, name=name, created_ms=now_ms))
    except IntegrityError as error:
        raise MemberExists(member[:40]) from error
    version = counters.take(connection, counters.LIST_VERSION, 1)
    empty = dict(zip(COLUMNS, columns_of(EMPTY), strict=True))
    connection.execute(insert(states).values(member=member, list_version=version, **empty))


def member(connection: Connection, member: str) -> Member:
    """One member with account; UnknownMember when there is none."""
    row = connection.execute(_members().where(members.c.member == member)).one_or_none()
    if row is None:
        raise UnknownMember(member[:40])
    return _member(row)


def all_members(
    connection: Connection, after: str = "", search: str = "", limit: int = PAGE
) -> list[Member]:
    """Up to ``limit`` members behind the id ``after``; ``search`` is part of id or name."""
    query = _members().where(members.c.member > after).order_by(members.c.member).limit(limit)
    if search:
        query = query.where(
            or_(
                members.c.member.contains(search, autoescape=True),
                members.c.name.contains(search, autoescape=True),
            )
        )
    return [_member(row) for row in connection.execute(query)]


def add_card(connection: Connection, card: MemberCard) -> None:
    """Issue a card; CardExists when its reference is taken, UnknownMember without the member."""
    member(connection, card.member)
    try:
        connection.execute(insert(cards).values(card._asdict()))
    except IntegrityError as error:
        raise CardExists(card.reference.hex()) from error
    _touch(connection, card.member)


def card(connection: Connection, reference: bytes) -> MemberCard:
    """One card; UnknownCard when there is none."""
    row = connection.execute(select(cards).where(cards.c.reference == reference)).one_or_none()
    if row is None:
        raise UnknownCard(reference.hex()[:40])
    return _card(row)


def cards_of(connection: Connection, member: str) -> list[MemberCard]:
    """The cards of a member, oldest first."""
    query = select(cards).where(cards.c.member == member)
    return [
        _card(row)
        for row in connection.execute(query.order_by(cards.c.created_ms, cards.c.reference))
    ]


def set_card_state(
    connection: Connection, reference: bytes, state: CardState, now_ms: int
) -> MemberCard:
    """Freeze, lose, cancel or free a card and return it; CardCancelled when it is too late."""
    found = card(connection, reference)
    check_step(found.state, state)
    connection.execute(
        update(cards)
        .where(cards.c.reference == reference)
        .values(state=state.value, changed_ms=now_ms)
    )
    _touch(connection, found.member)
    return found._replace(state=state, changed_ms=now_ms)


def changes(connection: Connection, base: int, limit: int = MEMBERS_MAX) -> Changes:
    """Members that changed behind list version ``base``, oldest change first.

    A base that was never given out gets everything, from base 0.
    """
    newest = counters.current(connection, counters.LIST_VERSION)
    start = base if base <= newest else 0
    rows = connection.execute(
        select(states.c.member, states.c.list_version, *_STATE)
        .where(states.c.list_version > start)
        .order_by(states.c.list_version)
        .limit(limit + 1)
    ).all()
    complete = len(rows) <= limit
    rows = rows[:limit]
    held = _card_entries(connection, [row[0] for row in rows])
    snapshots = tuple(Snapshot(row[0], tuple(held[row[0]]), state_of(row[2:])) for row in rows)
    return Changes(start, newest if complete else rows[-1][1], snapshots, complete)


def feed(connection: Connection) -> int:
    """In which feed the list versions count (protocol.member_list); 0 = none was drawn yet."""
    return counters.current(connection, counters.FEED)


def begin_feed(connection: Connection, drawn: int) -> None:
    """From now on every terminal takes the whole list again; ``drawn`` is random, not 0."""
    counters.put(connection, counters.FEED, drawn)


def _touch(connection: Connection, member: str) -> None:
    version = counters.take(connection, counters.LIST_VERSION, 1)
    connection.execute(update(states).where(states.c.member == member).values(list_version=version))


def _card_entries(connection: Connection, of: Sequence[str]) -> dict[str, list[CardEntry]]:
    held: dict[str, list[CardEntry]] = defaultdict(list)
    query = select(cards.c.member, cards.c.reference, cards.c.state)
    for row in connection.execute(query.where(cards.c.member.in_(of)).order_by(cards.c.reference)):
        held[row.member].append(CardEntry(row.reference, CardState(row.state)))
    return held


def _members() -> Select[tuple[object, ...]]:
    columns = (members.c.member, members.c.name, members.c.created_ms, *_STATE)
    return select(*columns).select_from(members.join(states))


def _member(row: Row[tuple[object, ...]]) -> Member:
    name, text, created_ms, *state = tuple(row)
    return Member(str(name), str(text), int(str(created_ms)), state_of(state))


def _card(row: Row[tuple[object, ...]]) -> MemberCard:
    values = row._mapping  # noqa: SLF001  (SQLAlchemy's public name of a row's mapping)
    return MemberCard(**{**values, "state": CardState(values["state"])})
