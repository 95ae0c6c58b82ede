"""The one room that knows that there are two databases, SQLite and PostgreSQL."""
