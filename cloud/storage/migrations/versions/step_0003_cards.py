"""Step 3: what cards count and say once, and the numbers of those that prove it to the cloud."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Int = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Add what no card has yet."""
    op.add_column("cards", sa.Column("number", sa.LargeBinary))
    op.create_index("ix_cards_number", "cards", ["number"])
    op.create_table(
        "tag_counters",
        sa.Column("uid", sa.LargeBinary, primary_key=True),
        sa.Column("counter", Int, nullable=False),
        sa.Column("read_ms", Int, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "card_uses",
        sa.Column("said", sa.LargeBinary, primary_key=True),
        sa.Column("place", Int, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
