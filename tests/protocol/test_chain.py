"""Chain and batch: what follows what, and what one message may carry."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.batch import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, fitting, pack, unpack
from protocol.chain import Head, extend
from protocol.errors import BrokenChain, Malformed, TooLarge, WrongVersion
from tests.protocol.world import FIRST_HEAD, run


def test_a_run_extends_its_head() -> None:
    records = run(5)
    assert extend(FIRST_HEAD, records) == Head(1, 5, records[-1].hash)


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 0, 1), (1, 2)])
def test_a_run_with_a_gap_a_swap_or_a_repeat_is_broken(order: tuple[int, ...]) -> None:
    records = run(3)
    with pytest.raises(BrokenChain):
        extend(FIRST_HEAD, [records[place] for place in order])


def test_another_history_under_the_same_number_is_broken() -> None:
    records, other = run(3), run(3, Head(1, 0, b"\x22" * 32))
    with pytest.raises(BrokenChain):
        extend(FIRST_HEAD, [records[0], other[1]])


def test_a_batch_carries_the_bytes_that_were_signed() -> None:
    records = [sealed.data for sealed in run(50)]
    assert unpack(pack(records)) == records


@given(st.lists(st.integers(50, 8 * 1024), min_size=1, max_size=80))
def test_what_fits_is_packed_and_one_more_is_not(sizes: list[int]) -> None:
    count = fitting(sizes)
    assert 1 <= count <= BATCH_RECORDS_MAX
    assert len(pack([bytes(size) for size in sizes[:count]])) <= BATCH_BYTES_MAX
    if count < min(len(sizes), BATCH_RECORDS_MAX):
        with pytest.raises(TooLarge):
            pack([bytes(size + 8) for size in sizes[: count + 1]])


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Malformed),
        (b"\xff" * 40, Malformed),
        (cbor2.dumps([1, []]), Malformed),
        (cbor2.dumps([1, ["text"]]), Malformed),
        (cbor2.dumps([1, [b"x"] * 51]), Malformed),
        (cbor2.dumps([1, b"abc"]), Malformed),
        (cbor2.dumps({1: 2, 3: 4}), Malformed),
        (cbor2.dumps([2, [b"x"]]), WrongVersion),
        (bytes(BATCH_BYTES_MAX + 1), TooLarge),
    ],
)
def test_what_is_no_batch_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        unpack(data)
