"""Runs the steps on the connection that cloud.storage.migration hands over."""

from __future__ import annotations

from alembic import context

from cloud.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
