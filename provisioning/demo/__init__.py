"""A day in a small chain with all that goes wrong in one, and what two readings say of it."""
