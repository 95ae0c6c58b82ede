"""Step 2: what was kept apart can be taken, and a closed epoch ends where the ledger has it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Int = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Add who settled what; forget what terminals had said of their ends."""
    for column in (
        sa.Column("settled_ms", Int, nullable=False, server_default="0"),
        sa.Column("settled_by", sa.Text, nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
    ):
        op.add_column("quarantine", column)
    op.execute("UPDATE epochs SET closed_seq = upto_seq WHERE closed_ms > 0")
