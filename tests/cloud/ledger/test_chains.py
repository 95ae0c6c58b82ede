"""What a batch must be to enter a chain; nothing else takes effect."""

from __future__ import annotations

from random import Random

import cbor2
import pytest

from cloud.ledger.chains import HELD_FOR_CHAIN_MAX, Batch
from cloud.ledger.ingest import Plan
from protocol.batch import BATCH_VERSION, pack
from protocol.chain import Head
from protocol.codec import encode
from protocol.record import RECORD_BYTES_MAX, Kind, Sealed, record_hash
from protocol.signing import Purpose, sign, split
from protocol.watermark import Standing
from tests.cloud.ledger.memory import Memory
from tests.cloud.town import Till, key_of, make_bundle

BUNDLE = make_bundle()
TERMINAL = "t-0001"


@pytest.fixture
def memory() -> Memory:
    memory = Memory(BUNDLE)
    memory.add_members("ann", "bob")
    return memory


@pytest.fixture
def till(memory: Memory) -> Till:
    return memory.add_till(TERMINAL, BUNDLE, Random(1))


def reasons(plan: Plan) -> list[str]:
    return [refusal.reason for refusal in plan.refusals]


def states(memory: Memory) -> list[str]:
    return [row.state for _, row in sorted(memory.records.items())]


def raw(*records: bytes, site: str = "site-1", terminal: str = TERMINAL) -> Batch:
    return Batch(site, terminal, pack(records))


def sealed_raw(till: Till, payload: bytes) -> bytes:
    """A record with a payload of choice, signed by the terminal; the next one links to it."""
    data = sign(payload, Purpose.RECORD, till.key)
    till.head = Head(till.head.epoch, till.head.seq + 1, record_hash(data))
    return data


def fields_of(sealed: Sealed) -> dict[int, object]:
    fields: dict[int, object] = cbor2.loads(split(sealed.data).payload)
    return fields


def test_a_chain_is_taken_and_its_head_is_the_watermark(memory: Memory, till: Till) -> None:
    made = memory.ingest(till.batch(till.open(), till.top_up("ann", 5_000), till.sale("ann")))
    assert states(memory) == ["noted", "posted", "posted"]
    assert made.chains[0].head == till.head
    assert memory.checkpoints["ann"].principal == 4_700


def test_the_same_batch_again_changes_nothing(memory: Memory, till: Till) -> None:
    batch = till.batch(till.open(), till.top_up("ann", 5_000))
    memory.ingest(batch, batch)
    again = memory.ingest(batch)
    assert again.duplicates == 2
    assert not again.records
    assert not again.balances
    assert again.chains[0].head == till.head  # and it is acknowledged again
    assert memory.checkpoints["ann"].principal == 5_000


def test_batches_may_overlap(memory: Memory, till: Till) -> None:
    records = [till.open(), *(till.top_up("ann", 100) for _ in range(5))]
    memory.ingest(till.batch(*records[:4]))
    made = memory.ingest(till.batch(*records[2:]))
    assert made.duplicates == 2
    assert memory.checkpoints["ann"].principal == 500


def test_a_gap_is_held_and_asked_for(memory: Memory, till: Till) -> None:
    records = [till.open(), *(till.top_up("ann", 100) for _ in range(8))]
    first = memory.ingest(till.batch(*records[6:]), till.batch(*records[3:5]))
    assert not first.records
    assert first.missing == {1: ((1, 3), (6, 6))}
    second = memory.ingest(till.batch(*records[:3]), held=first.held)
    assert [row.place & 0xFF for row in second.records] == [1, 2, 3, 4, 5]
    assert second.missing == {1: ((6, 6),)}
    third = memory.ingest(till.batch(records[5]), held=second.held)
    assert third.chains[0].head == till.head
    assert not third.held
    assert memory.checkpoints["ann"].principal == 800


def test_what_is_held_is_bounded(memory: Memory, till: Till) -> None:
    records = [till.open(), *(till.top_up("ann", 1) for _ in range(2 * HELD_FOR_CHAIN_MAX))]
    made = memory.ingest(*(till.batch(record) for record in records[1:]))
    assert len(made.held[1]) == HELD_FOR_CHAIN_MAX
    rest = memory.ingest(*(till.batch(record) for record in records), held=made.held)
    assert rest.chains[0].head == till.head


def test_nothing_stands_before_the_first_record(memory: Memory, till: Till) -> None:
    """Unreadable bytes take the places before the record behind them: there is no place 0."""
    first = till.open()
    memory.ingest(till.batch(first))
    till.head = Head(1, 0, record_hash(b"junk-2"))
    made = memory.ingest(raw(b"junk-1", b"junk-2", till.open().data))
    assert reasons(made) == ["malformed"]
    assert not made.quarantine
    assert not made.chains


def test_another_history_from_one_record_on_is_a_fork(memory: Memory, till: Till) -> None:
    opening = till.open()
    memory.ingest(till.batch(opening))
    here = till.head
    first = till.top_up("ann", 5_000)
    memory.ingest(till.batch(first))
    till.head = here
    other = till.top_up("ann", 7_000)
    made = memory.ingest(till.batch(other))
    assert reasons(made) == ["fork"]
    assert made.chains[0].standing is Standing.FORKED
    assert made.chains[0].head.hash == first.hash
    assert [row.hash for row in made.quarantine] == [other.hash]
    assert [memory.records[place].hash for place in made.counterparts] == [first.hash]
    assert memory.checkpoints["ann"].principal == 5_000


def test_a_branch_that_shows_behind_the_head_is_a_fork(memory: Memory, till: Till) -> None:
    opening = till.open()
    here = till.head
    memory.ingest(till.batch(opening, till.top_up("ann", 5_000)))
    till.head = here
    till.top_up("ann", 7_000)  # the clone's own second record, which never comes
    made = memory.ingest(till.batch(till.top_up("ann", 1)))
    assert reasons(made) == ["fork"]
    assert len(made.quarantine) == 1
    assert memory.checkpoints["ann"].principal == 5_000


def test_a_fork_inside_one_transaction_is_seen(memory: Memory, till: Till) -> None:
    opening = till.open()
    here = till.head
    one = till.batch(opening, till.top_up("ann", 1))
    till.head = here
    two = till.batch(till.top_up("ann", 2))
    made = memory.ingest(one, two)
    assert reasons(made) == ["fork"]
    assert memory.checkpoints["ann"].principal == 1


def test_a_fork_of_an_epoch_that_ended_does_not_stop_the_present_one(
    memory: Memory, till: Till
) -> None:
    opening = till.open()
    here = till.head
    memory.ingest(till.batch(opening, till.top_up("ann", 5_000)))
    new = memory.add_till(TERMINAL, BUNDLE, Random(2), epoch=2)
    till.head = here
    made = memory.ingest(till.batch(till.top_up("ann", 7_000)), new.batch(new.open()))
    assert reasons(made) == ["fork"]
    assert len(made.quarantine) == 1
    assert {chain.standing for chain in made.chains} == {Standing.ACTIVE}


def test_a_chain_that_does_not_start_at_the_grant_is_refused(memory: Memory, till: Till) -> None:
    till.head = Head(1, 0, b"\x00" * 32)
    assert reasons(memory.ingest(till.batch(till.open()))) == ["broken_chain"]
    assert not memory.records


def test_a_hole_inside_a_batch_is_refused(memory: Memory, till: Till) -> None:
    records = [till.open(), till.top_up("ann", 1), till.top_up("ann", 2)]
    assert reasons(memory.ingest(till.batch(records[0], records[2]))) == ["broken_chain"]
    assert not memory.records


def test_a_stranger_signs_in_vain(memory: Memory, till: Till) -> None:
    till.key = key_of("a stranger")
    assert reasons(memory.ingest(till.batch(till.open()))) == ["unknown_key"]
    assert not memory.records


@pytest.mark.parametrize("count", [1, 3])
def test_no_flipped_bit_is_accepted(memory: Memory, till: Till, count: int) -> None:
    records = [till.open(), till.top_up("ann", 5_000), till.sale("ann")][:count]
    message = till.batch(*records).data
    sent = {sealed.data for sealed in records}
    for at in range(len(message)):
        flipped = bytearray(message)
        flipped[at] ^= 1 << at % 8
        fresh = Memory(BUNDLE)
        fresh.add_members("ann")
        fresh.add_till(TERMINAL, BUNDLE, Random(1))
        made = fresh.ingest(Batch("site-1", TERMINAL, bytes(flipped)))
        # What stands before a last record that cannot be read is whole and signed by itself.
        assert {row.data for row in made.records} < sent, at
        if count == 1:
            assert not made.records
            assert made.refusals, at


def test_no_truncated_message_is_accepted(memory: Memory, till: Till) -> None:
    message = till.batch(till.open(), till.top_up("ann", 5_000)).data
    for length in range(len(message)):
        made = memory.ingest(Batch("site-1", TERMINAL, message[:length]))
        assert reasons(made) == ["malformed"], length
    assert not memory.records


def test_a_message_on_another_topic_is_refused(memory: Memory, till: Till) -> None:
    memory.add_till("t-0002", BUNDLE, Random(2))
    records = till.open().data, till.top_up("ann", 5_000).data
    assert reasons(memory.ingest(raw(*records, terminal="t-0002"))) == ["wrong_terminal"]
    assert reasons(memory.ingest(raw(*records, site="site-2"))) == ["wrong_terminal"]
    assert reasons(memory.ingest(raw(*records, terminal="t-0099"))) == ["wrong_terminal"]
    assert not memory.records


def test_an_unknown_terminal_and_an_epoch_without_grant_are_refused(
    memory: Memory, till: Till
) -> None:
    stranger = Memory().add_till("t-0099", BUNDLE, Random(2))
    assert reasons(memory.ingest(stranger.batch(stranger.open()))) == ["unknown_terminal"]
    till.head = Head(2, 0, till.head.hash)
    assert reasons(memory.ingest(till.batch(till.open()))) == ["wrong_epoch"]
    assert not memory.records


def test_a_replay_in_another_epoch_is_refused(memory: Memory, till: Till) -> None:
    old = till.open(), till.top_up("ann", 5_000)
    memory.ingest(till.batch(*old))
    new = memory.add_till(TERMINAL, BUNDLE, Random(2), epoch=2)
    opening = new.open()
    assert reasons(memory.ingest(raw(opening.data, old[1].data))) == ["wrong_epoch"]
    again = memory.ingest(till.batch(*old), new.batch(opening))
    assert again.duplicates == 2
    assert memory.checkpoints["ann"].principal == 5_000


def test_an_oversize_message_is_refused(memory: Memory, till: Till) -> None:
    data = cbor2.dumps([BATCH_VERSION, [b"x" * 9_000] * 4])
    assert reasons(memory.ingest(Batch("site-1", TERMINAL, data))) == ["too_large"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({7: 99}, "kind_unsupported"),
        ({0: 2}, "wrong_version"),
        ({17: "not a number"}, "malformed"),
        ({22: "x" * (RECORD_BYTES_MAX + 1)}, "too_large"),
    ],
)
def test_a_record_of_another_version_is_kept_apart_and_those_behind_it_go_on(
    memory: Memory, till: Till, change: dict[int, object], reason: str
) -> None:
    opening = till.open()
    here = till.head
    fields = fields_of(till.top_up("ann", 1)) | change
    till.head = here
    poison = sealed_raw(till, cbor2.dumps(dict(sorted(fields.items()))))
    made = memory.ingest(raw(opening.data, poison, till.top_up("ann", 300).data))
    assert states(memory) == ["noted", "quarantined", "posted"]
    assert [(row.seq, row.reason) for row in made.quarantine] == [(2, reason)]
    assert made.chains[0].head == till.head
    assert memory.checkpoints["ann"].principal == 300


@pytest.mark.parametrize("split_at", [1, 2, 3])
def test_bytes_that_nobody_can_read_do_not_block_the_chain(
    memory: Memory, till: Till, split_at: int
) -> None:
    records = [till.open().data, sealed_raw(till, b"\xff nonsense"), till.top_up("ann", 300).data]
    first = memory.ingest(raw(*records[:split_at]))
    start = first.chains[0].head.seq
    memory.ingest(*([raw(*records[start:])] if start < 3 else []))
    assert states(memory) == ["noted", "quarantined", "posted"]
    assert memory.checkpoints["ann"].principal == 300


def test_a_batch_of_nothing_readable_is_refused(memory: Memory, till: Till) -> None:
    memory.ingest(till.batch(till.open()))
    made = memory.ingest(raw(sealed_raw(till, b"\xff nonsense")))
    assert reasons(made) == ["malformed"]


def test_a_message_that_is_no_batch_is_refused(memory: Memory, till: Till) -> None:
    for data in (b"", b"\x00", cbor2.dumps([1]), cbor2.dumps({}), encode(till.open().record)):
        assert reasons(memory.ingest(Batch("site-1", TERMINAL, data))) == ["malformed"]
    wrong = cbor2.dumps([BATCH_VERSION + 1, [b"x"]])
    assert reasons(memory.ingest(Batch("site-1", TERMINAL, wrong))) == ["wrong_version"]


def test_other_terminals_go_on_beside_a_refused_one(memory: Memory, till: Till) -> None:
    other = memory.add_till("t-0002", BUNDLE, Random(2))
    bad = Batch("site-1", TERMINAL, b"\x00")
    made = memory.ingest(bad, other.batch(other.open(), other.top_up("bob", 100)), bad)
    assert reasons(made) == ["malformed"] * 2
    assert memory.checkpoints["bob"].principal == 100


def test_kinds_of_every_number_have_a_place(memory: Memory, till: Till) -> None:
    records = [till.open(), *(till.record(kind, card=None) for kind in Kind)]
    memory.ingest(till.batch(*records))
    assert len(memory.records) == len(records)
