"""No code that runs on a terminal makes a key that puts value on a card or changes it."""

from __future__ import annotations

import ast

from tests.architecture.test_tidy import modules

NEVER_ON_A_TERMINAL = {"CreditKey", "ChangeKey", "TransactionKey"}
MADE_IN = "protocol/estate.py"


def makers() -> set[str]:
    """The files outside tests that construct one of those keys or derive them from the estate."""
    return {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and not name.startswith("tests/")
        if NEVER_ON_A_TERMINAL & {getattr(node.func, "id", ""), getattr(node.func, "attr", "")}
    }


def test_the_estate_alone_makes_them() -> None:
    assert makers() == {MADE_IN}


def test_a_site_key_leads_to_read_keys_only() -> None:
    tree = modules()["protocol/card_keys.py"]
    (site_key,) = (
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "SiteKey"
    )
    named = {node.id for node in ast.walk(site_key) if isinstance(node, ast.Name)}
    assert not named & NEVER_ON_A_TERMINAL
