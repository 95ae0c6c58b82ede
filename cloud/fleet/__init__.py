"""Terminals: who they are, what they were granted, what they say of themselves."""
