"""Receipts and what prints them."""
