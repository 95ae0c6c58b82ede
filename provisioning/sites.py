"""Which site has which place on cards: the authority's file, one site a line, never reordered."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocol.card_keys import SITE_SLOTS
from provisioning.vault import write_private


class Sites:
    """The places in ``file``: the n-th line is the site of slot n."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self) -> tuple[str, ...]:
        """Sites by slot."""
        return tuple(self._file.read_text().splitlines()) if self._file.exists() else ()

    def slot(self, site: str) -> int | None:
        """Return the place of ``site``, the next free one for a new site, None without one.

        Whoever else asks waits: no two sites get one place.
        """
        with self._alone():
            known = self.known()
            if site in known:
                return known.index(site)
            if len(known) >= SITE_SLOTS:
                return None
            write_private(self._file, "".join(f"{each}\n" for each in (*known, site)))
            return len(known)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder: the file itself is replaced by each write."""
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
