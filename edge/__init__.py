"""The agent on the terminal: answers every tap alone, and brings every record to the ledger.

Cards and readers are left to drivers, and what both sides agree on to protocol.
"""
