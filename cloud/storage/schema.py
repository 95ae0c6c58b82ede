"""The tables. Their history is in migrations/; a test holds both together.

Times are UTC in ms since 1970; amounts are minor units or points. Types are those that SQLite's
STRICT tables know, so that both databases refuse the same values.
"""

from __future__ import annotations

from sqlalchemy import (
    INTEGER,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem

Int = BigInteger().with_variant(INTEGER(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=rowid)


def _int(name: str, **options: int | str | bool) -> Column[int]:
    return Column(name, Int, nullable=False, **options)  # type: ignore[arg-type]


def _text(name: str, **options: str | bool) -> Column[str]:
    return Column(name, Text, nullable=False, **options)  # type: ignore[arg-type]


def _bytes(name: str, **options: bool) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, **options)  # type: ignore[arg-type]


# One number for each name that rises by one writer at a time: list_version.
counters = _table("counters", _text("name", primary_key=True), _int("value"))

terminals = _table(
    "terminals",
    _text("terminal", primary_key=True),
    _text("site"),
    _int("standing"),  # protocol.watermark.Standing
    _int("epoch"),  # the newest granted
    _int("enrolled_ms"),
    _int("heard_ms"),  # any message; 0 = never
    _int("online"),  # 0 or 1, as the newest session said
    Column("status", LargeBinary),  # newest protocol.status.Status
    Column("reported", LargeBinary),  # newest protocol.shadow.Reported
    _int("revision"),  # of the desired state
    _int("status_every_s"),
)

# One chain of records: a terminal's key and how far the ledger has it.
epochs = _table(
    "epochs",
    Column("chain", Int, primary_key=True),
    Column("terminal", Text, ForeignKey("terminals.terminal"), nullable=False),
    _int("epoch"),
    _int("algorithm"),
    _bytes("public_key"),
    _bytes("grant_data"),
    _int("granted_ms"),
    _int("closed_ms"),  # revoked, or the next epoch granted; 0 = open
    _int("closed_seq"),  # the newest record that the ledger had then; SEQ_MAX = key is trusted
    _int("upto_seq"),
    _bytes("head_hash"),  # before the first record: the grant's hash
    _int("quarantined"),  # how many records of it the ledger keeps apart
    UniqueConstraint("terminal", "epoch"),
)

# Every record that belongs to a chain, as the bytes that were signed.
records = _table(
    "records",
    _int("place", primary_key=True, autoincrement=False),
    _bytes("tid", index=True),
    _bytes("hash"),
    _bytes("data"),
    _int("kind"),  # protocol.record.Kind; 0 = unreadable
    _text("state"),  # posted, noted, quarantined
    _text("audit"),  # empty = as the named bundle says; else how it differs
    _int("gap"),  # charged minus what the named bundle says, minor units
    Column("member", Text),
    _int("occurred_ms"),
    _int("received_ms"),
    Index(None, "member", "occurred_ms"),
)

# Append-only. Assets are positive, liabilities and revenue negative; each record's sum is 0.
entries = _table(
    "entries",
    _int("place", primary_key=True, autoincrement=False),
    _int("line", primary_key=True, autoincrement=False),
    _text("account"),
    _text("unit"),
    _int("amount"),
    CheckConstraint("amount <> 0", name="amount"),
    rowid=False,
)

balances = _table(
    "balances",
    _text("account", primary_key=True),
    _text("unit", primary_key=True),
    _int("amount"),
    rowid=False,
)

# Signed bytes that the ledger keeps apart: forks, and records that could not be applied. One that
# a person took stays here, and says who, when and why.
quarantine = _table(
    "quarantine",
    Column("id", Int, primary_key=True),
    _text("terminal"),
    _int("epoch"),
    _int("seq"),
    _bytes("hash"),
    _bytes("data"),
    _text("reason"),
    _int("received_ms"),
    _int("settled_ms", server_default="0"),  # 0 = is still kept apart
    _text("settled_by", server_default=""),
    _text("note", server_default=""),
    UniqueConstraint("terminal", "epoch", "seq", "hash"),
)

members = _table(
    "members",
    _text("member", primary_key=True),
    _text("name"),
    _int("created_ms"),
)

cards = _table(
    "cards",
    _bytes("reference", primary_key=True),
    Column("member", Text, ForeignKey("members.member"), nullable=False, index=True),
    _text("family"),
    _text("card_type"),
    _int("state"),  # protocol.member_list.CardState
    _int("created_ms"),
    _int("changed_ms"),
    # UID or number, from which the card's keys come; none where nothing of it is checked here.
    Column("number", LargeBinary, index=True),
)

# How often each tag says that it was read: a message with a counter that is not above it is a copy.
tag_counters = _table(
    "tag_counters",
    _bytes("uid", primary_key=True),
    _int("counter"),
    _int("read_ms"),  # when it last rose
    rowid=False,
)

# What a card can say once (cloud.ledger.uses), and the first record that carries it.
card_uses = _table(
    "card_uses",
    _bytes("said", primary_key=True),
    _int("place"),
    rowid=False,
)

# Checkpoint of each member: the fold of all posted records (protocol.membership.state.State).
states = _table(
    "states",
    Column("member", Text, ForeignKey("members.member"), primary_key=True),
    _int("list_version"),  # when it last changed: the order of the member feed
    _int("principal"),
    _int("overdraft"),
    _int("points"),
    _int("points_debt"),
    _int("qualifying"),
    _int("newest_ms"),
    _int("newest_priority"),
    _text("newest_terminal"),
    _int("newest_epoch"),
    _int("newest_seq"),
    _bytes("waiting_voids"),  # transaction ids of 16 bytes, joined
    Index(None, "list_version", unique=True),
    rowid=False,
)

bundles = _table(
    "bundles",
    _int("number", primary_key=True, autoincrement=False),
    _bytes("digest", unique=True),
    _bytes("data"),
    _int("activate_ms"),
    _int("published_ms"),
    _text("author"),
)

commands = _table(
    "commands",
    _bytes("id", primary_key=True),
    Column("terminal", Text, ForeignKey("terminals.terminal"), nullable=False, index=True),
    _text("verb"),
    _text("operator"),
    _int("issued_ms"),
    _int("not_after_ms"),
    _bytes("data"),
    _text("code"),  # empty = no answer yet
    _int("done_ms"),
)

api_tokens = _table(
    "api_tokens",
    _text("id", primary_key=True),
    _bytes("hash", unique=True),  # SHA-256 of a token of 256 random bits
    _text("role"),
    _text("label"),
    _int("created_ms"),
    _int("revoked_ms"),  # 0 = valid
)

sessions = _table(
    "sessions",
    _bytes("hash", primary_key=True),  # SHA-256 of the cookie's 256 random bits
    Column("token", Text, ForeignKey("api_tokens.id"), nullable=False, index=True),
    _int("expires_ms"),
)

# What a write request with an idempotency key was answered, so that a repeat gets the same.
idempotency = _table(
    "idempotency",
    _text("token", primary_key=True),
    _text("key", primary_key=True),
    _bytes("request"),  # SHA-256 of method, path and body
    _int("status"),
    _bytes("body"),
    _int("created_ms"),
)
