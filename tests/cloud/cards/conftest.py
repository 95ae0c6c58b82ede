"""The application over real HTTP."""

from __future__ import annotations

from tests.cloud.front import api, front

__all__ = ["api", "front"]
