"""The books: what a record becomes, and how anybody can check it."""
