"""Every published vector against the project's own functions.

The folder is TAPLEDGER_VECTORS, or tests/vectors. A file or a kind of case that nobody checks is a
failure: what is not checked proves nothing.
"""

from __future__ import annotations

import json
import os
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.drivers import vectors
from tests.drivers.vectors import Case, Check

HERE = Path(__file__).parent.parent / "vectors"
FOLDER = Path(os.environ.get("TAPLEDGER_VECTORS") or HERE)
CHECKS: dict[str, Check] = {
    name: check
    for module in pkgutil.iter_modules(vectors.__path__, f"{vectors.__name__}.")
    for name, check in import_module(module.name).CHECKS.items()
}


def _documents() -> dict[str, dict[str, Any]]:
    files = sorted(FOLDER.glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


def _cases() -> list[Any]:
    return [
        pytest.param(stem, case, document, id=f"{stem}-{number}-{case.get('name', '')}")
        for stem, document in _documents().items()
        for number, case in enumerate(document["cases"])
    ]


def test_every_file_is_known_and_has_cases() -> None:
    documents = _documents()
    assert documents, f"no vectors in {FOLDER}"
    assert set(documents) <= set(CHECKS), "files that nothing checks"
    assert all(document["cases"] for document in documents.values())


@pytest.mark.parametrize(("stem", "case", "document"), _cases())
def test_vector(stem: str, case: Case, document: Case) -> None:
    assert stem in CHECKS, f"nothing checks {stem}.json"
    CHECKS[stem](case, document)
