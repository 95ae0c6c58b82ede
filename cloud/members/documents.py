"""JSON documents of members, cards and statements."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from cloud.http.document import Body, Document, Level, Since, from_hex
from cloud.ledger.statement import StatementLine
from cloud.members.model import Member, MemberCard
from protocol.member_list import CardState
from protocol.membership.event import CARD_PURSE, NOTED
from protocol.receipt import receipt_number
from protocol.record import read

CARD_STATES = {state.name.lower(): state for state in CardState}
_Minor = Annotated[int, Field(description="Minor units.")]
_State = Annotated[str, Field(description="active, frozen, lost or cancelled.")]
_HEX = Annotated[str, Field(pattern="^[0-9a-fA-F]{32}$")]
Reference = Annotated[
    bytes,
    BeforeValidator(from_hex, json_schema_input_type=_HEX),
    Field(
        min_length=16,
        max_length=16,
        description="Keyed one-way reference, hex.",
        examples=["6f1d2c3b4a5968778695a4b3c2d1e0f0"],
    ),
]

_NUMBER_HEX = Annotated[str, Field(pattern="^([0-9a-fA-F]{2}){4,16}$")]
CardNumber = Annotated[
    bytes,
    BeforeValidator(from_hex, json_schema_input_type=_NUMBER_HEX),
    Field(
        min_length=4,
        max_length=16,
        description="UID or number of the card, hex.",
        examples=["04a23b1c5d6e80"],
    ),
]


class NewMember(Body):
    """A member; without ``member`` the cloud draws an id."""

    member: Annotated[Level | None, Field(examples=["m-000001"])] = None
    name: Annotated[
        str, Field(max_length=64, description="Stays in the cloud.", examples=["Lin Mei"])
    ]


class NewCard(Body):
    """A personalised card."""

    reference: Reference
    member: Annotated[str, Field(max_length=40, description="Its id.", examples=["m-000001"])]
    family: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,40}$", examples=["cpu"])]
    card_type: Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,40}$", examples=["member"])] = "member"
    number: Annotated[
        CardNumber | None, Field(description="For families whose proofs the cloud checks.")
    ] = None


class CardStep(Body):
    """The state that a card should have."""

    state: Annotated[str, Field(pattern="^(active|frozen|lost|cancelled)$", examples=["frozen"])]


class CardDocument(Document):
    """A card as it was issued, with its state."""

    reference: str
    member: str
    family: str
    card_type: str
    state: _State
    created_ms: Since
    changed_ms: Since


class BalanceDocument(Document):
    """What a member's account holds, as far as records have arrived."""

    member: str
    balance: Annotated[int, Field(description="Minor units; negative when overdrawn.")]
    principal: _Minor
    overdraft: _Minor
    points: int
    points_debt: int
    qualifying: Annotated[int, Field(description="Spend that counts for a tier, minor units.")]


class MemberDocument(BalanceDocument):
    """A member with account and cards."""

    name: str
    created_ms: Since
    cards: list[CardDocument]


class MemberLine(BalanceDocument):
    """A member in a listing."""

    name: str
    created_ms: Since


class Members(Document):
    """One page of members in the order of ids."""

    members: list[MemberLine]
    next: Annotated[str | None, Field(description="`after` of the next page; null at the end.")]


class StatementEntry(Document):
    """One record on a statement: where, by which prices and rules, and what was left."""

    terminal: str
    site: str
    epoch: int
    seq: int
    receipt: str
    tid: str
    kind: str
    state: Annotated[str, Field(description="posted, noted or quarantined.")]
    audit: Annotated[str, Field(description="Empty: as the bundle says; else how it differs.")]
    occurred_ms: Since
    received_ms: Since
    value: Annotated[int, Field(description="Change of stored value, minor units.")]
    by_card: Annotated[int, Field(description="Paid by the purse on the card, minor units.")]
    points: Annotated[int, Field(description="Change of points.")]
    value_after: _Minor
    points_after: int
    bundle: Annotated[int, Field(description="Number of the bundle; 0 = none.")]
    rules: list[str]
    reason: str


class Statement(Document):
    """One page of a statement, newest first."""

    member: str
    lines: list[StatementEntry]
    next: Annotated[str | None, Field(description="`before` of the next page; null at the end.")]


def card_document(card: MemberCard) -> CardDocument:
    """Return what the API shows of ``card``."""
    return CardDocument(
        reference=card.reference.hex(),
        member=card.member,
        family=card.family,
        card_type=card.card_type,
        state=card.state.name.lower(),
        created_ms=card.created_ms,
        changed_ms=card.changed_ms,
    )


def _account(member: Member) -> dict[str, int]:
    state = member.state
    return {
        "balance": state.balance,
        "principal": state.principal,
        "overdraft": state.overdraft,
        "points": state.points,
        "points_debt": state.points_debt,
        "qualifying": state.qualifying,
    }


def balance_document(member: Member) -> BalanceDocument:
    """Return the account of ``member``."""
    return BalanceDocument(member=member.member, **_account(member))


def member_line(member: Member) -> MemberLine:
    """Return ``member`` as a listing shows it."""
    return MemberLine(
        member=member.member, name=member.name, created_ms=member.created_ms, **_account(member)
    )


def member_document(member: Member, cards: list[MemberCard]) -> MemberDocument:
    """Return ``member`` with cards."""
    return MemberDocument(
        member=member.member,
        name=member.name,
        created_ms=member.created_ms,
        cards=[card_document(card) for card in cards],
        **_account(member),
    )


def statement_entry(line: StatementLine) -> StatementEntry:
    """Return ``line`` with what its record says of bundle and rules."""
    record = read(line.data)[0].record
    return StatementEntry(
        terminal=line.terminal,
        site=line.site,
        epoch=line.epoch,
        seq=line.seq,
        receipt=record.receipt or receipt_number(line.terminal, line.epoch, line.seq),
        tid=record.tid.hex(),
        kind=line.kind.name.lower(),
        state=line.state,
        audit=line.audit,
        occurred_ms=line.occurred_ms,
        received_ms=line.received_ms,
        value=line.value,
        by_card=0 if record.kind in NOTED else record.paid_by(CARD_PURSE),
        points=line.points,
        value_after=line.value_after,
        points_after=line.points_after,
        bundle=record.bundle.version if record.bundle else 0,
        rules=list(dict.fromkeys(rule for sold in record.lines for rule in sold.rules)),
        reason=record.reason,
    )
