"""Loads of purses that were begun and not seen to end: one file a card, written before the card."""

from __future__ import annotations

from pathlib import Path

from provisioning.vault import private_folder, write_private


class Loads:
    """The intents in ``folder``, by the card's reference. They are the families' own bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pending(self, reference: bytes) -> bytes | None:
        """Return the intent that this card has open."""
        file = self._file(reference)
        return file.read_bytes() if file.exists() else None

    def note(self, reference: bytes, intent: bytes) -> None:
        """Have it on disk."""
        private_folder(self._folder)
        write_private(self._file(reference), intent)

    def forget(self, reference: bytes) -> None:
        """It is known what became of it."""
        self._file(reference).unlink(missing_ok=True)

    def _file(self, reference: bytes) -> Path:
        return self._folder / f"{reference.hex()}.json"
