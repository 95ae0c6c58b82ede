"""Whether every tap became exactly one ledger entry: two independent readings, compared. Pure.

What was read from the terminals' disks and from the ledger's database comes in as values; nothing
here trusts what either says of itself: signatures, links, sums and prices are worked out again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from protocol.chain import Head, follows
from protocol.errors import ProtocolError
from protocol.grant import opening_head
from protocol.membership.event import CARD_PURSE, CARD_TORN, STORED_VALUE, event_of, moves_account
from protocol.membership.fold import fold
from protocol.membership.state import State
from protocol.record import Kind, Record, Sealed, read
from protocol.rules.bundle import Bundle
from protocol.rules.evaluate import Pricing
from protocol.signing import Purpose, VerifyingKey, verify
from protocol.watermark import Standing

# What a tap becomes; other records are steps in the terminal's own life.
TAP_KINDS = frozenset((Kind.SALE, Kind.TOP_UP, Kind.VOID, Kind.DECLINE, Kind.CARD_EVENT))
POINTS = "PT"

Place = tuple[str, int, int]  # terminal, epoch, seq


class Holding(NamedTuple):
    """What a member has: minor units of stored value (negative when overdrawn), and points."""

    value: int = 0
    points: int = 0


class Journal(NamedTuple):
    """One terminal's disk: grants by epoch; what its member list says each member has."""

    terminal: str
    site: str
    key: VerifyingKey
    grants: Mapping[int, bytes]
    records: tuple[bytes, ...]
    known: Mapping[str, Holding]


class Posted(NamedTuple):
    """A record in the ledger."""

    place: Place
    tid: bytes
    data: bytes


class Leg(NamedTuple):
    """One entry of the books."""

    place: Place
    account: str
    unit: str
    amount: int


class Books(NamedTuple):
    """The ledger's database. ``running`` are the balances that it keeps beside the entries."""

    records: tuple[Posted, ...]
    legs: tuple[Leg, ...]
    running: Mapping[tuple[str, str], int]
    heads: Mapping[tuple[str, int], tuple[int, bytes]]
    standings: Mapping[str, Standing]
    apart: int


class Story(NamedTuple):
    """What those who stood at the counters know.

    ``answered``: tid of each order that was approved or declined; ``taps`` counts also the looks
    at a balance. ``members``: card reference -> member; ``purses``: card reference -> what the
    card itself says that it paid.
    """

    taps: int
    answered: tuple[bytes, ...]
    members: Mapping[bytes, str]
    bundles: tuple[Bundle, ...]
    purses: Mapping[bytes, int] = {}


class Verdict(NamedTuple):
    """``posted`` counts what the ledger holds, ``families`` taps by card family.

    ``torn`` are cards that left while they paid.

    All from ``lost`` on must be 0.
    """

    taps: int
    records: int
    posted: int
    overdrawn: int
    families: Mapping[str, int]
    torn: int
    lost: int
    twice: int
    unbalanced: int
    balances_differ: int
    chain_gaps: int
    price_wrong: int
    forks: int
    takings_differ: int
    purses_differ: int
    taps_unexplained: int

    @property
    def holds(self) -> bool:
        """Whether every tap became exactly one ledger entry."""
        return not any(self[self._fields.index("lost") :])


def judge(story: Story, journals: Sequence[Journal], books: Books) -> Verdict:
    """Compare the readings."""
    walked = [_walk(journal) for journal in journals]
    written = [sealed for records, _ in walked for sealed in records]
    tap_records = sum(_is_tap(sealed.record) for sealed in written)
    states = _folded(written, story.members)
    return Verdict(
        taps=story.taps,
        records=sum(len(journal.records) for journal in journals),
        posted=len(books.records),
        overdrawn=sum(state.overdraft > 0 for state in states.values()),
        families=_families(written),
        torn=sum(sealed.record.reason == CARD_TORN for sealed in written),
        lost=_lost(story, written, books),
        twice=_twice(written, books),
        unbalanced=_unbalanced(books),
        balances_differ=_balances_differ(states, journals, books),
        chain_gaps=sum(gaps for _, gaps in walked) + _ledger_gaps(journals, books),
        price_wrong=_price_wrong(written, story.bundles),
        forks=books.apart
        + sum(standing is not Standing.ACTIVE for standing in books.standings.values()),
        takings_differ=_takings_differ(written, journals, books),
        purses_differ=_purses_differ(story.purses, written, books),
        taps_unexplained=abs(tap_records - story.taps),
    )


def _families(written: Iterable[Sealed]) -> dict[str, int]:
    """Card family -> taps, by name; a card that proved nothing is none of any."""
    taps = (sealed.record for sealed in written if _is_tap(sealed.record))
    counted = Counter(record.card.family for record in taps if record.card)
    return dict(sorted(counted.items()))


def _is_tap(record: Record) -> bool:
    """Whether somebody got an answer by it: what became of an earlier debit is no tap."""
    return record.kind in TAP_KINDS and not _is_about_another(record)


def _is_about_another(record: Record) -> bool:
    return record.kind is Kind.CARD_EVENT and record.refers_to is not None


def _walk(journal: Journal) -> tuple[list[Sealed], int]:
    """Return the readable records, and at how many places the chain from the grant is broken."""
    head: Head | None = None
    records, gaps = [], 0
    for data in journal.records:
        try:
            sealed, signed = read(data)
            verify(signed, Purpose.RECORD, journal.key)
        except ProtocolError:
            gaps += 1
            continue
        record = sealed.record
        if head is None or record.epoch > head.epoch:
            head = opening_head(record.epoch, journal.grants.get(record.epoch, b""))
        gaps += not follows(head, sealed)
        head = Head(record.epoch, record.seq, sealed.hash)
        records.append(sealed)
    return records, gaps


def _ledger_gaps(journals: Sequence[Journal], books: Books) -> int:
    """Breaks in the chains as the ledger holds them, and heads that do not fit the last record."""
    chains: dict[tuple[str, int], list[tuple[int, bytes]]] = defaultdict(list)
    for posted in sorted(books.records):
        terminal, epoch, seq = posted.place
        chains[terminal, epoch].append((seq, posted.data))
    grants = {journal.terminal: journal.grants for journal in journals}
    gaps = 0
    for (terminal, epoch), rows in chains.items():
        head = opening_head(epoch, grants[terminal].get(epoch, b""))
        for seq, data in rows:
            try:
                sealed, _ = read(data)
            except ProtocolError:
                gaps += 1
                continue
            gaps += sealed.record.seq != seq or not follows(head, sealed)
            head = Head(epoch, seq, sealed.hash)
        gaps += books.heads.get((terminal, epoch)) != (head.seq, head.hash)
    return gaps


def _lost(story: Story, written: Sequence[Sealed], books: Books) -> int:
    """Records that the ledger lacks or holds otherwise, and answers that no record stands for."""
    held = {posted.place: posted.data for posted in books.records}
    booked = {leg.place for leg in books.legs}
    voided = _voided(written)
    missing = 0
    for sealed in written:
        record = sealed.record
        place = (record.terminal, record.epoch, record.seq)
        counts = record.tid not in voided and not _is_about_another(record)
        moves_money = record.total > 0 and counts
        missing += held.get(place) != sealed.data or (moves_money and place not in booked)
    tids = {sealed.record.tid for sealed in written}
    return missing + sum(tid not in tids for tid in story.answered)


def _voided(written: Iterable[Sealed]) -> set[bytes | None]:
    """Transactions that were taken back."""
    records = (sealed.record for sealed in written)
    return {record.refers_to for record in records if record.kind is Kind.VOID}


def _twice(written: Iterable[Sealed], books: Books) -> int:
    """Orders with two records, transactions held twice, entries booked twice for one record."""
    orders = Counter(
        (sealed.record.terminal, sealed.record.order) for sealed in written if sealed.record.order
    )
    tids = Counter(posted.tid for posted in books.records)
    legs = Counter((leg.place, leg.account, leg.unit) for leg in books.legs)
    doubled = {place for (place, _, _), count in legs.items() if count > 1}
    repeated = sum(count - 1 for counts in (orders, tids) for count in counts.values())
    return repeated + len(doubled)


def _unbalanced(books: Books) -> int:
    """Records whose entries do not add up to zero in each unit."""
    sums: Counter[tuple[Place, str]] = Counter()
    for leg in books.legs:
        sums[leg.place, leg.unit] += leg.amount
    return len({place for (place, _), total in sums.items() if total})


def _folded(written: Iterable[Sealed], members: Mapping[bytes, str]) -> dict[str, State]:
    """Member -> state, worked out from the terminals' journals alone."""
    events = defaultdict(list)
    for record in (sealed.record for sealed in written):
        if moves_account(record.kind) and record.card:
            events[members[record.card.reference]].append(event_of(record))
    return {member: fold(events[member]) for member in members.values()}


def _balances_differ(states: Mapping[str, State], journals: Sequence[Journal], books: Books) -> int:
    """Members of whom journals, entries, running balances and member lists do not say the same."""
    sums: Counter[tuple[str, str]] = Counter()
    for leg in books.legs:
        sums[leg.account, leg.unit] += leg.amount
    wrong = set()
    for member, state in states.items():
        worked_out = Holding(state.balance, state.points - state.points_debt)
        said = [_holding(sums, member), _holding(books.running, member)]
        said += [journal.known.get(member, Holding()) for journal in journals]
        if any(holding != worked_out for holding in said):
            wrong.add(member)
    return len(wrong)


def _holding(sums: Mapping[tuple[str, str], int], member: str) -> Holding:
    """The reverse of the books, where liabilities are negative and assets positive."""
    value = points = 0
    for (account, unit), amount in sums.items():
        kind, _, owner = account.partition(":")
        if owner == member and kind in ("principal", "overdraft"):
            value -= amount
        elif owner == member and kind in ("points", "points_debt") and unit == POINTS:
            points -= amount
    return Holding(value, points)


def _takings_differ(written: Sequence[Sealed], journals: Sequence[Journal], books: Books) -> int:
    """Accounts of takings, revenue and points given that do not add up to the journals' facts."""
    sites = {journal.terminal: journal.site for journal in journals}
    voided = _voided(written)
    due: Counter[str] = Counter()
    for record in (sealed.record for sealed in written if sealed.record.tid not in voided):
        site = sites[record.terminal]
        if record.kind is Kind.SALE:
            due[f"sales:{site}"] -= record.total
            due["points_granted"] += record.earned
        if _is_about_another(record):
            continue
        for tender in record.tenders:
            if tender.method not in (STORED_VALUE, CARD_PURSE):
                due[f"cash:{tender.method}:{site}"] += tender.amount
    booked: Counter[str] = Counter()
    for leg in books.legs:
        if leg.account.startswith(("sales:", "cash:", "points_granted")):
            booked[leg.account] += leg.amount
    return sum(due[account] != booked[account] for account in due.keys() | booked.keys())


def _purses_differ(purses: Mapping[bytes, int], written: Iterable[Sealed], books: Books) -> int:
    """Cards of which card, journals and ledger do not say the same of what its purse paid."""
    journals: Counter[str] = Counter()
    for record in (sealed.record for sealed in written):
        if record.card is not None and not _is_about_another(record):
            by_card = record.paid_by(CARD_PURSE)
            journals[f"purse:{record.card.reference.hex()}"] += by_card
    booked = Counter({leg.account: 0 for leg in books.legs if leg.account.startswith("purse:")})
    for leg in books.legs:
        if leg.account in booked:
            booked[leg.account] += leg.amount
    cards = Counter({f"purse:{reference.hex()}": paid for reference, paid in purses.items()})
    known = cards.keys() | booked.keys()
    return sum(len({cards[name], journals[name], booked[name]}) > 1 for name in known)


def _price_wrong(written: Iterable[Sealed], bundles: Sequence[Bundle]) -> int:
    """Sales that were not priced by the bundle in force at their own time, to the minor unit."""
    pricings = [Pricing(bundle) for bundle in sorted(bundles, key=lambda each: each.number)]
    return sum(
        not _priced_right(sealed.record, pricings)
        for sealed in written
        if sealed.record.kind is Kind.SALE
    )


def _priced_right(record: Record, pricings: Sequence[Pricing]) -> bool:
    due = [each for each in pricings if each.bundle.activate_ms <= record.moment.wall_ms]
    if not due or record.bundle is None or record.bundle.version != due[-1].bundle.number:
        return False
    basket = [(line.sku, line.quantity) for line in record.lines]
    priced = due[-1].price(basket, record.tier)
    return (priced.lines, priced.total, priced.earned) == (
        record.lines,
        record.total,
        record.earned,
    )
