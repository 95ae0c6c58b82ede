"""The floor plan holds: runs the import contracts of pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import run

if TYPE_CHECKING:
    import pytest


def test_every_import_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(
        config_filename=str(run.ROOT / "pyproject.toml"), no_cache=True, no_logo=True
    )
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out
