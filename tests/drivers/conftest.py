"""The one pcscd of a test process: its client library looks only once where the socket is."""

from __future__ import annotations

from tests.services.pcscd import pcscd

__all__ = ["pcscd"]
