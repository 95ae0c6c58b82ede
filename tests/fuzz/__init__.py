"""Bytes that nobody meant, for every parser of what a card, a reader, a scanner or a code says."""
