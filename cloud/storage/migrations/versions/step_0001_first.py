"""Step 1: the tables as they were at first. A copy, so that later changes leave it alone."""

from __future__ import annotations

from alembic import op
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

revision = "0001"
down_revision = None

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


def _text(name: str, **options: bool) -> Column[str]:
    return Column(name, Text, nullable=False, **options)  # type: ignore[arg-type]


def _bytes(name: str, **options: bool) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False, **options)  # type: ignore[arg-type]


_table("counters", _text("name", primary_key=True), _int("value"))

_table(
    "terminals",
    _text("terminal", primary_key=True),
    _text("site"),
    _int("standing"),
    _int("epoch"),
    _int("enrolled_ms"),
    _int("heard_ms"),
    _int("online"),
    Column("status", LargeBinary),
    Column("reported", LargeBinary),
    _int("revision"),
    _int("status_every_s"),
)

_table(
    "epochs",
    Column("chain", Int, primary_key=True),
    Column("terminal", Text, ForeignKey("terminals.terminal"), nullable=False),
    _int("epoch"),
    _int("algorithm"),
    _bytes("public_key"),
    _bytes("grant_data"),
    _int("granted_ms"),
    _int("closed_ms"),
    _int("closed_seq"),
    _int("upto_seq"),
    _bytes("head_hash"),
    _int("quarantined"),
    UniqueConstraint("terminal", "epoch"),
)

_table(
    "records",
    _int("place", primary_key=True, autoincrement=False),
    _bytes("tid", index=True),
    _bytes("hash"),
    _bytes("data"),
    _int("kind"),
    _text("state"),
    _text("audit"),
    _int("gap"),
    Column("member", Text),
    _int("occurred_ms"),
    _int("received_ms"),
    Index(None, "member", "occurred_ms"),
)

_table(
    "entries",
    _int("place", primary_key=True, autoincrement=False),
    _int("line", primary_key=True, autoincrement=False),
    _text("account"),
    _text("unit"),
    _int("amount"),
    CheckConstraint("amount <> 0", name="amount"),
    rowid=False,
)

_table(
    "balances",
    _text("account", primary_key=True),
    _text("unit", primary_key=True),
    _int("amount"),
    rowid=False,
)

_table(
    "quarantine",
    Column("id", Int, primary_key=True),
    _text("terminal"),
    _int("epoch"),
    _int("seq"),
    _bytes("hash"),
    _bytes("data"),
    _text("reason"),
    _int("received_ms"),
    UniqueConstraint("terminal", "epoch", "seq", "hash"),
)

_table(
    "members",
    _text("member", primary_key=True),
    _text("name"),
    _int("created_ms"),
)

_table(
    "cards",
    _bytes("reference", primary_key=True),
    Column("member", Text, ForeignKey("members.member"), nullable=False, index=True),
    _text("family"),
    _text("card_type"),
    _int("state"),
    _int("created_ms"),
    _int("changed_ms"),
)

_table(
    "states",
    Column("member", Text, ForeignKey("members.member"), primary_key=True),
    _int("list_version"),
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
    _bytes("waiting_voids"),
    Index(None, "list_version", unique=True),
    rowid=False,
)

_table(
    "bundles",
    _int("number", primary_key=True, autoincrement=False),
    _bytes("digest", unique=True),
    _bytes("data"),
    _int("activate_ms"),
    _int("published_ms"),
    _text("author"),
)

_table(
    "commands",
    _bytes("id", primary_key=True),
    Column("terminal", Text, ForeignKey("terminals.terminal"), nullable=False, index=True),
    _text("verb"),
    _text("operator"),
    _int("issued_ms"),
    _int("not_after_ms"),
    _bytes("data"),
    _text("code"),
    _int("done_ms"),
)

_table(
    "api_tokens",
    _text("id", primary_key=True),
    _bytes("hash", unique=True),
    _text("role"),
    _text("label"),
    _int("created_ms"),
    _int("revoked_ms"),
)

_table(
    "sessions",
    _bytes("hash", primary_key=True),
    Column("token", Text, ForeignKey("api_tokens.id"), nullable=False, index=True),
    _int("expires_ms"),
)

_table(
    "idempotency",
    _text("token", primary_key=True),
    _text("key", primary_key=True),
    _bytes("request"),
    _int("status"),
    _bytes("body"),
    _int("created_ms"),
)


def upgrade() -> None:
    """Make every table."""
    metadata.create_all(op.get_bind())
