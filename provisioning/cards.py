"""The card desk: blank cards become member cards, over a real reader, and the cloud learns whose.

How a family is written is its file's in personalisations; what a card is worth afterwards is what
the terminal's own dialogue says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from drivers.card import NONCE_BYTES, CardIdentity, CardTrust
from drivers.errors import CardBlank, CardForeign, CardIssued, DriverError
from drivers.identify import Examiner, card_kinds
from drivers.purse import Fate
from drivers.reader import Reader
from protocol.card_keys import AES_128_BYTES, SiteKey, TransportKey
from protocol.plugins import discover
from protocol.record import CardClass
from provisioning import personalisations
from provisioning.authority import CardKeys
from provisioning.bench import ReaderBench
from provisioning.cloud_api import CloudApi
from provisioning.errors import (
    CardNotAsWritten,
    CardProvable,
    CardRegisteredOtherwise,
    LoadTooLarge,
    LoadTorn,
    LoadUnclear,
    NoPurse,
    SiteUnnamed,
)
from provisioning.loads import Loads
from provisioning.personalisation import Order, Personalisation, Purse

FAMILIES = discover(personalisations, "PERSONALISATION", Personalisation)
# A person looks for the card first.
PRESENT_S = 60.0
# Of cards that come under no key of ours, and of deliveries without one.
NO_TRANSPORT_KEY = TransportKey(bytes(AES_128_BYTES))


@dataclass(frozen=True, slots=True)
class Found:
    """A card that proved itself, with the key of ``site`` if its family has keys of sites."""

    identity: CardIdentity
    site: SiteKey | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is on the card now, ``balance`` in minor units.

    ``earlier``: what became of a load that broke off, None without one; if it had MOVED, nothing
    more was put on the card.
    """

    reference: bytes
    balance: int
    earlier: Fate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDesk:
    """One reader, the keys, and the world: ``draw(n)`` random bytes, ``now`` monotonic seconds.

    ``wall_s``: seconds since 1970. ``transport`` opens cards as they were delivered; ``sites`` are
    those that shall know a card. ``cloud`` None makes cards that nobody knows yet.
    """

    reader: Reader
    tenant: str
    keys: CardKeys
    sites: tuple[SiteKey, ...]
    loads: Loads
    cloud: CloudApi | None
    page: str
    wall_s: Callable[[], int]
    draw: Callable[[int], bytes]
    now: Callable[[], float]
    transport: TransportKey = NO_TRANSPORT_KEY

    def personalise(
        self,
        family: str,
        member: str,
        *,
        card_type: str = "member",
        present_s: float = PRESENT_S,
        lrp: bool = False,
    ) -> bytes:
        """Make the next card ``member``'s; return its reference once the terminal accepts it.

        A card torn away is presented once more and the same call does what is missing; a card that
        is issued already keeps what is on it. ``lrp``: the card leaves AES mode for good. NoCard,
        SiteUnnamed, CardNotAsWritten, CardRegisteredOtherwise, CloudRefused (an unknown member or a
        wrong token, where the cloud tells, before the card is written), or the ProductError with
        which the card refused or cannot be written.
        """
        kind = FAMILIES[family]
        order = replace(self._order(self._sites_for(kind), card_type), lrp=lrp)
        if self.cloud is not None:
            self.cloud.check_member(member)
        bench = ReaderBench.wait(self.reader, self.now, present_s)
        # An issued card was torn away behind the last command, or it was presented by mistake:
        # reading it back proves that it is ours, registering it that it is nobody else's.
        issued = None
        try:
            kind.write(bench, order)
        except CardIssued as error:
            issued = error
        reference, sites = self._read_back(bench, order.sites, family, issued)
        order, number = replace(order, sites=sites), None
        if kind.number is not None:
            bench.again()
            number = kind.number(bench, order)
        self._register(reference, member, family, card_type, number)
        return reference

    def _read_back(
        self,
        bench: ReaderBench,
        sites: tuple[SiteKey, ...],
        family: str,
        issued: CardIssued | None,
    ) -> tuple[bytes, tuple[SiteKey, ...]]:
        """Return the card's reference and those of ``sites`` that know it.

        That is every one of them, but for a card that was ``issued`` before: a site may have got
        its place later. If none knows it, ``issued`` is what it is.
        """
        reference: bytes | None = None
        known: list[SiteKey] = []
        for site in sites or (None,):
            bench.again()
            try:
                identity = self._identify(bench, site)
            except (CardForeign, CardBlank):
                if issued is None:
                    raise
                continue
            if identity.family != family:
                raise CardNotAsWritten(f"it reads as {identity.family}")
            reference = identity.reference
            if site is not None:
                known.append(site)
        if reference is None:
            raise issued or CardForeign
        return reference, tuple(known)

    def register(
        self, member: str, *, card_type: str = "member", present_s: float = PRESENT_S
    ) -> CardIdentity:
        """Register the next card, which is a number and nothing more; CardProvable for another."""
        if self.cloud is not None:
            self.cloud.check_member(member)
        identity = self.show(present_s=present_s).identity
        if identity.assurance is not CardClass.UID or identity.family in FAMILIES:
            raise CardProvable(identity.family)
        self._register(identity.reference, member, identity.family, card_type)
        return identity

    def show(self, *, present_s: float = PRESENT_S) -> Found:
        """Return what the next card proves; the DriverError with which it fails at every site."""
        return self._find(ReaderBench.wait(self.reader, self.now, present_s))

    def load(self, amount: int, *, present_s: float = PRESENT_S) -> Loaded:
        """Put ``amount`` (minor units) on the next card, once, however often it is torn away.

        NoPurse, LoadTooLarge, LoadTorn (the same call with the same card ends it), LoadUnclear.
        """
        bench = ReaderBench.wait(self.reader, self.now, present_s)
        found = self._find(bench)
        kind, reference = FAMILIES.get(found.identity.family), found.identity.reference
        if kind is None or kind.purse is None or found.site is None:
            raise NoPurse(found.identity.family)
        order = self._order((found.site,), "")
        try:
            earlier = self._earlier(kind.purse, bench, order, reference)
            if earlier is not Fate.MOVED:
                self._put(kind.purse, bench, order, reference, amount)
            balance = self._identify(bench, found.site).balance_before or 0
        except DriverError as error:
            if self.loads.pending(reference) is None:
                raise
            raise LoadTorn(error.code) from error
        self.loads.forget(reference)
        return Loaded(reference, balance, earlier)

    def _put(
        self, purse: Purse, bench: ReaderBench, order: Order, reference: bytes, amount: int
    ) -> None:
        """Load, when nothing is open on the card; LoadTooLarge before it was told of anything."""
        try:
            purse.load(bench, order, amount, partial(self.loads.note, reference))
        except (ValueError, OverflowError) as error:
            self.loads.forget(reference)
            raise LoadTooLarge(str(error)) from error

    def _earlier(
        self, purse: Purse, bench: ReaderBench, order: Order, reference: bytes
    ) -> Fate | None:
        """What became of a load that broke off, None without one; LoadUnclear."""
        intent = self.loads.pending(reference)
        if intent is None:
            return None
        try:
            fate = purse.settle(bench, order, intent)
        except ValueError as error:  # it stays: the money may be on the card
            raise LoadUnclear(f"{reference.hex()}: {error}") from error
        if fate is Fate.UNKNOWN:
            raise LoadUnclear(reference.hex())
        return fate

    def _sites_for(self, kind: Personalisation) -> tuple[SiteKey, ...]:
        if kind.sites and not self.sites:
            raise SiteUnnamed("no site has a key yet: enrol a terminal, or name the site")
        if 0 < kind.sites < len(self.sites):
            raise SiteUnnamed(f"a card of family {kind.family} knows one site")
        return self.sites[: kind.sites]

    def _order(self, sites: tuple[SiteKey, ...], card_type: str) -> Order:
        return Order(
            keys=self.keys,
            sites=sites,
            transport=self.transport,
            tenant=self.tenant,
            card_type=card_type,
            page=self.page,
            wall_s=self.wall_s(),
            draw=self.draw,
        )

    def _find(self, bench: ReaderBench) -> Found:
        """Ask with the key of each site until the card proves something."""
        number: Found | None = None
        refused: DriverError | None = None
        for site in self.sites or (None,):
            try:
                identity = self._identify(bench, site)
            except (CardForeign, CardBlank) as error:
                refused = error
            else:
                kind = FAMILIES.get(identity.family)
                found = Found(identity, site if kind and kind.sites else None)
                if identity.assurance is not CardClass.UID:
                    return found
                # Where two sites find a number, the one that knows the family knows more.
                if number is None or number.identity.family not in FAMILIES:
                    number = found
            bench.again()
        if number is not None:
            return number
        raise refused or CardForeign

    def _identify(self, bench: ReaderBench, site: SiteKey | None) -> CardIdentity:
        """Return the card's identity as a terminal of ``site`` finds it, by its own dialogue."""
        issuer = self.keys.issuer.verifier
        trust = CardTrust(
            reference_key=self.keys.reference,
            issuers={issuer.key_id: issuer},
            tenant=self.tenant,
            day=self._order((), "").day,
            site=site,
        )
        examiner = Examiner(
            kinds=card_kinds(),
            trust=lambda: trust,
            nonce=lambda: self.draw(NONCE_BYTES),
            now=self.now,
        )
        return examiner.identify(self.reader, bench.presented)

    def _register(
        self,
        reference: bytes,
        member: str,
        family: str,
        card_type: str,
        number: bytes | None = None,
    ) -> None:
        if self.cloud is None:
            return
        owner = self.cloud.card_member(reference)
        if owner is None:
            self.cloud.register_card(reference, member, family, card_type, number)
        elif owner != member:
            raise CardRegisteredOtherwise(reference.hex())
