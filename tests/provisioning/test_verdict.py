"""The verdict finds each planted fault under its own key, and nothing in a day without one."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from msgspec import structs

from protocol.chain import Head
from protocol.grant import opening_head
from protocol.identifiers import uuid7
from protocol.moment import Moment, Quality
from protocol.record import BundleRef, Card, CardClass, Kind, Record, Sealed, Tender, seal
from protocol.rules.evaluate import Pricing
from protocol.signing import Ed25519Signer
from protocol.watermark import Standing
from provisioning.demo.catalogue import morning, raised
from provisioning.demo.verdict import Books, Holding, Journal, Leg, Posted, Story, Verdict, judge

TERMINAL, SITE, MEMBER = "t-0001", "site-1", "m-1"
KEY = Ed25519Signer(bytes(range(32)))
REFERENCE, GRANT = bytes(16), b"a grant"
START_MS, RAISE_MS = 1_800_000_000_000, 1_800_000_030_000
BUNDLES = (morning("acme", START_MS), raised("acme", RAISE_MS))
COFFEES = 2


class Chain:
    """A terminal that writes records a second apart."""

    def __init__(self) -> None:
        self.sealed: list[Sealed] = []

    def write(self, at_s: int, kind: Kind, **fields: object) -> Sealed:
        head = Head(1, 0, opening_head(1, GRANT).hash)
        if self.sealed:
            head = Head(1, self.sealed[-1].record.seq, self.sealed[-1].hash)
        wall_ms = START_MS + at_s * 1000
        record = Record(
            tid=uuid7(wall_ms, sha256(bytes([head.seq])).digest()[:10]),
            terminal=TERMINAL,
            epoch=1,
            seq=head.seq + 1,
            prev=head.hash,
            moment=Moment(bytes(8), at_s * 1000, wall_ms, Quality.BOUNDED, 5),
            kind=kind,
            **fields,  # type: ignore[arg-type]
        )
        sealed = seal(record, KEY)
        self.sealed.append(sealed)
        return sealed

    def sell(self, at_s: int, bundle: int = 0, **fields: object) -> Sealed:
        priced = Pricing(BUNDLES[bundle]).price([("coffee", COFFEES)], "")
        values: dict[str, object] = {
            "card": _card(),
            "lines": priced.lines,
            "tenders": (Tender("stored_value", priced.total),),
            "earned": priced.earned,
            "bundle": BundleRef(BUNDLES[bundle].number, bytes(32)),
            "order": f"o-{len(self.sealed)}",
        }
        return self.write(at_s, Kind.SALE, **{**values, **fields})


def _card() -> Card:
    return Card(REFERENCE, "cpu", CardClass.SECURE)


def _day() -> Chain:
    """Opened, paid in, sold, refused, shown, sold at the new price."""
    chain = Chain()
    chain.write(0, Kind.EPOCH_OPEN)
    chain.write(1, Kind.TOP_UP, card=_card(), tenders=(Tender("cash", 10_000),), order="o-t")
    chain.sell(2)
    chain.write(3, Kind.DECLINE, card=_card(), reason="balance_too_low", order="o-d")
    chain.write(4, Kind.CARD_EVENT, card=_card(), reason="balance_shown")
    chain.sell(31, bundle=1)
    return chain


def _legs(sealed: Sealed) -> list[Leg]:
    record = sealed.record
    place = (record.terminal, record.epoch, record.seq)
    if record.kind is Kind.TOP_UP:
        return [
            Leg(place, f"cash:cash:{SITE}", "CNY", record.total),
            Leg(place, f"principal:{MEMBER}", "CNY", -record.total),
        ]
    if record.kind is Kind.SALE:
        return [
            Leg(place, f"sales:{SITE}", "CNY", -record.total),
            Leg(place, f"principal:{MEMBER}", "CNY", record.total),
            Leg(place, "points_granted", "PT", record.earned),
            Leg(place, f"points:{MEMBER}", "PT", -record.earned),
        ]
    return []


World = tuple[Story, Journal, Books]


def _world(chain: Chain | None = None) -> World:
    """The day as both sides have it, without a fault."""
    sealed = (chain or _day()).sealed
    legs = tuple(leg for each in sealed for leg in _legs(each))
    running: dict[tuple[str, str], int] = {}
    for leg in legs:
        running[leg.account, leg.unit] = running.get((leg.account, leg.unit), 0) + leg.amount
    principal, points = running[f"principal:{MEMBER}", "CNY"], running[f"points:{MEMBER}", "PT"]
    journal = Journal(
        TERMINAL,
        SITE,
        KEY.verifier,
        {1: GRANT},
        tuple(each.data for each in sealed),
        {MEMBER: Holding(-principal, -points)},
    )
    posted = [Posted((TERMINAL, 1, each.record.seq), each.record.tid, each.data) for each in sealed]
    head = sealed[-1]
    books = Books(
        records=tuple(posted),
        legs=legs,
        running=running,
        heads={(TERMINAL, 1): (head.record.seq, head.hash)},
        standings={TERMINAL: Standing.ACTIVE},
        apart=0,
    )
    answered = tuple(each.record.tid for each in sealed if each.record.order)
    return Story(5, answered, {REFERENCE: MEMBER}, BUNDLES), journal, books


def _judged(world: World) -> Verdict:
    story, journal, books = world
    return judge(story, [journal], books)


def _broken(verdict: Verdict) -> dict[str, int]:
    counts = verdict._asdict()
    first = Verdict._fields.index("lost")
    return {key: counts[key] for key in Verdict._fields[first:] if counts[key]}


def test_a_day_without_a_fault_holds() -> None:
    verdict = _judged(_world())
    assert verdict.holds
    assert _broken(verdict) == {}
    assert (verdict.taps, verdict.records, verdict.posted) == (5, 6, 6)


def _drop_posted(world: World) -> World:
    story, journal, books = world
    return story, journal, books._replace(records=books.records[:-1])


def _drop_legs(world: World) -> World:
    story, journal, books = world
    place = books.legs[-1].place
    return story, journal, books._replace(legs=tuple(x for x in books.legs if x.place != place))


def _drop_answered(world: World) -> World:
    story, journal, books = world
    return story._replace(answered=(*story.answered, bytes(16))), journal, books


def _double(world: World) -> World:
    story, journal, books = world
    place = books.legs[-1].place
    again = tuple(leg for leg in books.legs if leg.place == place)
    return story, journal, books._replace(legs=books.legs + again)


def _unbalance(world: World) -> World:
    story, journal, books = world
    changed = books.legs[0]._replace(amount=books.legs[0].amount + 1)
    return story, journal, books._replace(legs=(changed, *books.legs[1:]))


def _alter_running(world: World) -> World:
    story, journal, books = world
    key = f"principal:{MEMBER}", "CNY"
    return story, journal, books._replace(running={**books.running, key: books.running[key] - 1})


def _alter_known(world: World) -> World:
    story, journal, books = world
    return story, journal._replace(known={MEMBER: Holding(1, 1)}), books


def _cut_journal(world: World) -> World:
    story, journal, books = world
    kept = (*journal.records[:4], *journal.records[5:])
    return story._replace(taps=4), journal._replace(records=kept), books


def _cut_ledger(world: World) -> World:
    story, journal, books = world
    return story, journal, books._replace(heads={(TERMINAL, 1): (6, bytes(32))})


def _flip(world: World) -> World:
    """A signature that does not hold, in the evidence of a look at a balance."""
    story, journal, books = world
    flipped = bytearray(journal.records[4])
    flipped[-1] ^= 1
    records = (*journal.records[:4], bytes(flipped), *journal.records[5:])
    return story, journal._replace(records=records), books


def _fork(world: World) -> World:
    story, journal, books = world
    return story, journal, books._replace(apart=1)


def _forget_tap(world: World) -> World:
    story, journal, books = world
    return story._replace(taps=story.taps + 1), journal, books


@pytest.mark.parametrize(
    ("plant", "key"),
    [
        (_drop_posted, "lost"),
        (_drop_legs, "lost"),
        (_drop_answered, "lost"),
        (_double, "twice"),
        (_unbalance, "unbalanced"),
        (_alter_running, "balances_differ"),
        (_alter_known, "balances_differ"),
        (_cut_journal, "chain_gaps"),
        (_cut_ledger, "chain_gaps"),
        (_flip, "chain_gaps"),
        (_fork, "forks"),
        (_forget_tap, "taps_unexplained"),
    ],
)
def test_a_planted_fault_is_found_under_its_key(plant: Callable[[World], World], key: str) -> None:
    verdict = _judged(plant(_world()))
    assert not verdict.holds
    assert _broken(verdict)[key] >= 1


def test_a_changed_amount_shows_in_the_takings() -> None:
    story, journal, books = _world()
    place = books.legs[0].place
    legs = tuple(
        leg._replace(amount=leg.amount * 2) if leg.place == place else leg for leg in books.legs
    )
    broken = _broken(_judged((story, journal, books._replace(legs=legs))))
    assert broken.keys() == {"takings_differ", "balances_differ"}


@pytest.mark.parametrize("fault", ["old prices after the change", "new ones before", "a coin more"])
def test_a_wrong_price_is_found(fault: str) -> None:
    chain = Chain()
    chain.write(0, Kind.EPOCH_OPEN)
    chain.write(1, Kind.TOP_UP, card=_card(), tenders=(Tender("cash", 10_000),), order="o-t")
    if fault == "old prices after the change":
        chain.sell(31, bundle=0)
    elif fault == "new ones before":
        chain.sell(29, bundle=1)
    else:
        sold = chain.sell(3).record
        chain.sealed.pop()
        line = structs.replace(sold.lines[0], net_price=sold.total + 1)
        chain.sell(3, lines=(line,), tenders=(Tender("stored_value", sold.total + 1),))
    story, journal, books = _world(chain)
    assert _broken(_judged((story._replace(taps=2), journal, books))) == {"price_wrong": 1}


def test_an_order_with_two_records_is_twice() -> None:
    chain = _day()
    chain.sell(32, bundle=1, order="o-t")
    story, journal, books = _world(chain)
    assert _broken(_judged((story._replace(taps=6), journal, books))) == {"twice": 1}


def _paid_by_card() -> World:
    """A day on which the card paid once, and once left while it paid and had not."""
    chain, paid = Chain(), Card(REFERENCE, "desfire", CardClass.VALUE, 2, 5_000, 1_400)
    tenders = (Tender("card_purse", 3_600),)
    chain.write(0, Kind.EPOCH_OPEN)
    chain.write(1, Kind.TOP_UP, card=_card(), tenders=(Tender("cash", 10_000),), order="o-t")
    sold = chain.sell(2, card=paid, tenders=tenders)
    for reason in ("card_torn", "card_not_debited"):
        chain.write(
            3, Kind.CARD_EVENT, card=paid, tenders=tenders, refers_to=bytes(16), reason=reason
        )
    story, journal, books = _world(chain)
    place = (TERMINAL, 1, sold.record.seq)
    purse = Leg(place, f"purse:{REFERENCE.hex()}", "CNY", 3_600)
    legs = tuple(
        purse if (leg.place, leg.account) == (place, f"principal:{MEMBER}") else leg
        for leg in books.legs
    )
    running = {**books.running, ("principal:m-1", "CNY"): -10_000}
    known = {MEMBER: Holding(10_000, journal.known[MEMBER].points)}
    return (
        story._replace(taps=2, purses={REFERENCE: 3_600}),
        journal._replace(known=known),
        books._replace(legs=legs, running=running),
    )


def test_what_a_card_paid_is_the_same_on_the_card_in_the_journal_and_in_the_ledger() -> None:
    story, journal, books = _paid_by_card()
    verdict = _judged((story, journal, books))
    assert (_broken(verdict), verdict.torn) == ({}, 1)
    for purses in ({}, {REFERENCE: 3_599}, {REFERENCE: 3_600, bytes(15) + b"2": 1}):
        broken = _judged((story._replace(purses=purses), journal, books))
        assert _broken(broken) == {"purses_differ": 1}
    other = f"purse:{bytes(15).hex()}02"
    legs = tuple(
        leg._replace(account=other) if leg.account.startswith("purse:") else leg
        for leg in books.legs
    )
    assert _broken(_judged((story, journal, books._replace(legs=legs)))) == {"purses_differ": 2}


def test_an_overdrawn_member_is_shown_and_is_no_fault() -> None:
    chain = Chain()
    chain.write(0, Kind.EPOCH_OPEN)
    chain.write(1, Kind.TOP_UP, card=_card(), tenders=(Tender("cash", 1_000),), order="o-t")
    chain.sell(2)
    story, journal, books = _world(chain)
    verdict = _judged((story._replace(taps=2), journal, books))
    assert (verdict.overdrawn, verdict.holds) == (1, True)
