"""What the audit keeps in memory has a bound, whatever terminals send; what it says has none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from random import Random

import pytest
from msgspec import structs

from cloud.ledger.audit import AGREES, LINES_KEPT_MAX, PRICINGS_KEPT, RESULTS_KEPT, Auditor
from protocol.chain import Head
from protocol.record import RULES_ON_LINE_MAX, BundleRef, Line, Record
from protocol.rules.bundle import Bundle
from tests.cloud.town import Till, key_of, make_bundle

MEMORY_MAX = 30_000_000
CODE_CHARACTERS = 40


@pytest.fixture
def till() -> Till:
    return Till("t-0001", key_of("t-0001/1"), Head(1, 0, bytes(32)), make_bundle(), Random(1))


def largest(sale: Record, number: int, lines: int) -> Record:
    """As large as a record may be, and nothing in it shared with another."""

    def code(place: int) -> str:
        return f"{number}-{place}-".ljust(CODE_CHARACTERS, "x")

    made = tuple(
        Line(code(line), 1, number, number, tuple(map(code, range(RULES_ON_LINE_MAX))))
        for line in range(lines)
    )
    return structs.replace(sale, lines=made, tier=code(0))


@pytest.mark.parametrize("lines", [LINES_KEPT_MAX, LINES_KEPT_MAX + 1])
def test_no_baskets_fill_the_memory(till: Till, lines: int) -> None:
    auditor = Auditor(lambda _digest: till.published.bundle)
    sale = till.sale(None).record
    auditor.audit(sale, sale.total)
    tracemalloc.start()
    for number in range(RESULTS_KEPT + 100):
        auditor.audit(largest(sale, number, lines), number)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < MEMORY_MAX


def _counted(
    bundles: dict[bytes, Bundle],
) -> tuple[Callable[[bytes], Bundle | None], list[bytes]]:
    asked: list[bytes] = []

    def find(digest: bytes) -> Bundle | None:
        asked.append(digest)
        return bundles.get(digest)

    return find, asked


def test_a_price_list_of_long_ago_is_read_again(till: Till) -> None:
    published = [make_bundle(number) for number in range(1, PRICINGS_KEPT + 2)]
    find, asked = _counted({each.digest: each.bundle for each in published})
    auditor = Auditor(find)
    sale = till.sale("ann").record

    def judge(number: int) -> bool:
        named = BundleRef(number, published[number - 1].digest)
        return auditor.audit(structs.replace(sale, bundle=named), sale.total) == AGREES

    rounds: Iterator[int] = iter([*range(1, PRICINGS_KEPT + 1), 1, PRICINGS_KEPT + 1, 2, 1, 1])
    assert all(judge(number) for number in rounds)
    assert len(asked) == PRICINGS_KEPT + 2
