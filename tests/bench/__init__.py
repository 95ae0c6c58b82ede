"""Rows of `run.py bench`: medians of several runs, with the floor and the peer of the same run."""
