"""A small chain for tests: members with cards, terminals that sign records, a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

from cloud.fleet import store as fleet
from cloud.fleet.model import enrolment
from cloud.ledger.chains import Batch
from cloud.members import store as members
from cloud.members.model import MemberCard
from cloud.rules import store as rules
from cloud.rules.model import Draft
from cloud.rules.release import release
from cloud.storage.engine import Database
from protocol.batch import pack
from protocol.chain import Head
from protocol.identifiers import uuid7
from protocol.member_list import CardState
from protocol.membership.tiers import Tier
from protocol.moment import Moment, Quality
from protocol.record import BundleRef, Card, CardClass, Kind, Record, Sealed, Tender, seal
from protocol.rules.bundle import Product, Published, Rule
from protocol.rules.evaluate import Pricing
from protocol.signing import Ed25519Signer

TENANT, SITE, CURRENCY = "acme", "site-1", "CNY"
MORNING_MS = 1_790_000_000_000

PRODUCTS = tuple(Product(f"p-{n}", 300 + 50 * n, f"商品{n}", f"Product {n}") for n in range(20))
RULES = (
    Rule("gold", "percent_off", {"basis_points": 1_000, "tier": "gold"}),
    Rule("points", "points_per_spend", {"points": 1, "per": 100}),
)


def key_of(name: str) -> Ed25519Signer:
    """A key that is the same in every run."""
    return Ed25519Signer(sha256(name.encode()).digest())


LEDGER_KEY, RULES_KEY = key_of("ledger"), key_of("rules")


def reference_of(member: str) -> bytes:
    """The reference of a member's card."""
    return sha256(member.encode()).digest()[:16]


def make_bundle(number: int = 1, **changes: Any) -> Published:
    """A signed bundle."""
    draft = Draft(number, 0, CURRENCY, PRODUCTS, RULES, (Tier("gold", 100_000),))
    return release(draft._replace(**changes), TENANT, number - 1, RULES_KEY)


@dataclass
class Till:
    """A terminal's side: it numbers, links, signs. ``at_ms`` is its clock."""

    terminal: str
    key: Ed25519Signer
    head: Head
    published: Published
    random: Random
    at_ms: int = MORNING_MS
    site: str = SITE

    def __post_init__(self) -> None:
        self.pricing = Pricing(self.published.bundle)

    def record(self, kind: Kind, **fields: Any) -> Sealed:
        """The next record of the chain."""
        self.at_ms += 1_000
        made: dict[str, Any] = {
            "tid": uuid7(self.at_ms, self.random.randbytes(10)),
            "terminal": self.terminal,
            "epoch": self.head.epoch,
            "seq": self.head.seq + 1,
            "prev": self.head.hash,
            "moment": Moment(b"boot-001", self.at_ms - MORNING_MS, self.at_ms, Quality.BOUNDED, 50),
            "kind": kind,
            "bundle": BundleRef(self.published.bundle.number, self.published.digest),
        }
        sealed = seal(Record(**{**made, **fields}), self.key)
        self.head = Head(self.head.epoch, sealed.record.seq, sealed.hash)
        return sealed

    def open(self) -> Sealed:
        """The first record of an epoch."""
        return self.record(Kind.EPOCH_OPEN)

    def sale(
        self,
        member: str | None,
        *items: tuple[str, int],
        tender: str = "stored_value",
        tier: str = "",
        **fields: Any,
    ) -> Sealed:
        """A sale, priced by the bundle."""
        priced = self.pricing.price(items or (("p-0", 1),), tier)
        made: dict[str, Any] = {
            "card": card_of(member) if member else None,
            "lines": priced.lines,
            "tenders": (Tender(tender, priced.total),),
            "earned": priced.earned if member else 0,
            "tier": tier,
            "receipt": f"{self.terminal}-{self.head.epoch}-{self.head.seq + 1}",
            "order": f"order-{self.head.seq + 1}",
        }
        return self.record(Kind.SALE, **{**made, **fields})

    def top_up(self, member: str, amount: int, **fields: Any) -> Sealed:
        """Money paid in."""
        made = {"card": card_of(member), "tenders": (Tender("cash", amount),)}
        return self.record(Kind.TOP_UP, **{**made, **fields})

    def void(self, member: str, tid: bytes, **fields: Any) -> Sealed:
        """Takes back what ``tid`` names."""
        return self.record(Kind.VOID, card=card_of(member), refers_to=tid, **fields)

    def batch(self, *records: Sealed) -> Batch:
        """The message that carries ``records``."""
        return Batch(self.site, self.terminal, pack([sealed.data for sealed in records]))


def card_of(member: str) -> Card:
    """A member's card as a terminal sees it."""
    return Card(reference_of(member), "cpu", CardClass.SECURE, counter=7)


@dataclass
class Town:
    """Who is in the database."""

    database: Database
    published: Published
    random: Random

    def add_members(self, *names: str) -> None:
        """Members with one card each."""
        with self.database.write() as connection:
            for name in names:
                members.add_member(connection, name, name.title(), MORNING_MS)
                members.add_card(connection, issued_card(name))

    def add_till(
        self,
        terminal: str,
        site: str = SITE,
        epoch: int = 1,
        granted_ms: int = MORNING_MS,
        *,
        trusted: bool = False,
    ) -> Till:
        """Enrol a terminal, or grant its next epoch; the first record is still to come."""
        key = key_of(f"{terminal}/{epoch}")
        public = key.algorithm, key.verifier.public
        new = enrolment(TENANT, site, terminal, epoch, public, granted_ms, LEDGER_KEY)
        with self.database.write() as connection:
            if epoch == 1:
                fleet.enrol(connection, new)
            else:
                fleet.open_epoch(connection, new, trusted=trusted)
        head = Head(epoch, 0, new.head_hash)
        return Till(terminal, key, head, self.published, self.random, site=site)


def issued_card(member: str) -> MemberCard:
    """A member's card as it was issued."""
    reference = reference_of(member)
    return MemberCard(reference, member, "cpu", "member", CardState.ACTIVE, MORNING_MS, MORNING_MS)


def build_town(database: Database, seed: int = 1) -> Town:
    """A town with a bundle and nobody in it."""
    published = make_bundle()
    with database.write() as connection:
        rules.add_bundle(connection, published, "test", MORNING_MS)
    return Town(database, published, Random(seed))
