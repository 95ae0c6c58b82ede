"""The journal with all that follows from it: what is pending, which bundle is in force.

Turns a tap into a record on disk and an answer. When and why is left to the agent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import structs

from drivers.errors import DriverError
from drivers.purse import Charge
from edge.bundles import Bundles
from edge.cache import BUNDLES_KEPT, Cache
from edge.clock import STEP_MS, Clock, stepped_ms
from edge.decide import Decision, Facts, InForce, Tap, answer_of, decide, named, unrecordable
from edge.draft import Draft, Stamp, record_behind
from edge.errors import CardTorn, OrderReused
from edge.journal import Booked, Intent, Journal
from edge.order import Answer, Order, OrderKind
from edge.pending import Pending, Place, place_of, state_after, state_behind
from edge.purse import HeldPurse, paid, settlement, torn
from edge.tap_flow import Book
from protocol.chain import Head
from protocol.errors import ProtocolError
from protocol.identifiers import uuid7
from protocol.member_list import Snapshot
from protocol.membership.event import CARD_IN_DOUBT, CARD_PURSE
from protocol.membership.state import State
from protocol.moment import Moment
from protocol.record import Kind, Record
from protocol.risk.limits import OfflineUse
from protocol.rules.bundle import Published
from protocol.transaction_mac import reader_id

_TID_RANDOM_BYTES = 10
# Of the random end of a tid: nobody knows it before, so no recorded answer of a card fits it.
_NUMBER_BYTES = 4
# Members whose state with our own records on top is kept at hand: a busy hour.
STATES_KEPT = 512
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Answer).decode
_decode_order = msgspec.json.Decoder(Order).decode


class Situation(NamedTuple):
    """What the agent knows beyond the books: see decide.Facts."""

    online: bool
    closed: str


class Books:
    """One thread. JournalRefused and CacheRefused mean that nothing was booked."""

    def __init__(
        self,
        journal: Journal,
        cache: Cache,
        clock: Clock,
        terminal: str,
        random: Callable[[int], bytes],
    ) -> None:
        self.journal, self.cache, self.clock = journal, cache, clock
        self._terminal, self._random = terminal, random
        self.bundles = Bundles()
        self.announced: int | None = None  # number of the bundle that the journal says is in force
        self._booking: Head | None = None  # what the tap that is being booked stands on
        self._moment: Moment | None = None  # of the newest record since the start
        self.pending = Pending()
        self._states: dict[str, State] = {}
        self.reload()

    def reload(self) -> None:
        """Take everything from the journal again: at the start, and after it was read again."""
        journal = self.journal
        self.clock.not_before(journal.wall_ms)
        self._states.clear()
        self.pending = Pending()
        self.pending.cover(self._known_from())
        self.pending.acknowledge(Place(journal.sending, journal.acked_seq))
        for record in journal.since(*self.pending.covered):
            self.pending.add(record, self._target(record.refers_to))
        switch = next(journal.bundle_switches(), None)
        self.announced = switch.bundle.version if switch and switch.bundle else None

    def open_epoch(self) -> None:
        """Write the first record of the epoch, if there is none yet; then what was cut off.

        Of a debit that the last life began and did not settle nobody knows yet.
        """
        if self.journal.head.seq == 0:
            self.write(Draft(Kind.EPOCH_OPEN))
        for intent in self.journal.untold():
            self._tear(intent, self.clock.moment())

    def write(self, draft: Draft, moment: Moment | None = None) -> Record:
        """Write a record that is no tap."""
        record = self._next(draft, moment or self.clock.moment())
        self.journal.append(record)
        return record

    def book(
        self, tap: Book, situation: Situation, purse: HeldPurse | None = None
    ) -> tuple[Answer, Record]:
        """Decide about a tap; return its answer and record once that is durable.

        ``purse`` is that of the tap's card while it lies there. ``stages_ms`` has ``decide``,
        ``record`` and with a purse ``card``. CardTorn when it is not known whether the card paid,
        DriverError when it left before it was asked to: no answer, the order waits on.
        """
        begun = self.clock.mono_s()
        moment = self.clock.moment()
        self._note_step(moment)
        settled = self._settle(tap, situation, purse, moment) if purse else None
        if settled is None:
            facts = self._facts(tap, situation, moment)
            if purse is not None and tap.card is not None:
                facts = facts._replace(purse=tap.card.balance_before)
            decision = decide(Tap(tap.order, tap.card, tap.refusal), facts)
            decided = self.clock.mono_s()
            settled = self._carried_out(decision, facts, moment, tap.order, purse)
        else:
            decided = begun
        answer, record = settled
        card_s = purse.card_s if purse else 0.0
        stages = {
            "decide": _ms(decided - begun),
            "record": _ms(self.clock.mono_s() - decided - card_s),
        }
        if purse is not None:
            stages["card"] = _ms(card_s)
        return structs.replace(answer, stages_ms=stages), record

    def reopen(self) -> Answer | None:
        """Read journal and cache again after one of them refused.

        Returns the answer of the tap that was refused, if its record is there after all: what is
        on disk has happened.
        """
        self.cache.reopen()
        self.journal.reopen()
        self.reload()
        is_booked = self._booking not in (None, self.journal.head)
        newest = self.journal.newest() if is_booked else None
        self._booking = None
        self.open_epoch()
        return _decode(newest.answer) if newest and newest.answer else None

    def recorded(self, order: str) -> Answer | None:
        """Return the answer that was given to an order id, None when it was never booked."""
        booked = self.journal.by_order(order)
        return _answer_in(booked) if booked else None

    def answered(self, order: Order) -> Answer | None:
        """As ``recorded``; OrderReused when something else was asked under the order's id."""
        booked = self.journal.by_order(order.id)
        if booked is None:
            return None
        if booked.asked is not None and _decode_order(booked.asked) != order:
            raise OrderReused(order.id)
        return _answer_in(booked)

    def list_changed(self) -> None:
        """Follow a member list that was applied."""
        covered = self.cache.state.covered
        self._states.clear()
        if covered < self.pending.covered:
            self.reload()
        else:
            self.pending.cover(covered)

    def arm(self, published: Published) -> None:
        """Make a verified bundle ready; BadBundle when it must never be in force."""
        self.bundles.arm(published)
        self.bundles.forget(self.clock.wall_ms(), BUNDLES_KEPT)

    def in_force(self) -> InForce | None:
        """Return the bundle of now."""
        return self.bundles.in_force(self.clock.wall_ms())

    def armed(self) -> tuple[int, ...]:
        """Numbers of the bundles that wait for their time."""
        return self.bundles.armed(self.clock.wall_ms())

    def is_switch_due(self) -> bool:
        """Whether another bundle is in force than the journal says."""
        in_force = self.in_force()
        return in_force is not None and in_force.ref.version != self.announced

    def switch_bundle(self, moment: Moment | None = None) -> InForce | None:
        """Return the bundle in force; before the first record under it, BUNDLE_ON is written."""
        moment = moment or self.clock.moment()
        in_force = self.bundles.in_force(moment.wall_ms)
        if in_force is not None and in_force.ref.version != self.announced:
            self.write(Draft(Kind.BUNDLE_ON, bundle=in_force.ref), moment)
            self.announced = in_force.ref.version
        return in_force

    def _known_from(self) -> Place:
        """Place behind which our records matter: without a list no card is served anyway."""
        state = self.cache.state
        return (
            state.covered
            if state.version
            else Place(self.journal.head.epoch, self.journal.head.seq)
        )

    def _note_step(self, moment: Moment) -> None:
        """Write down that the clock was set, before the first tap in its new time."""
        stepped = stepped_ms(self._moment, moment) if self._moment else 0
        if abs(stepped) > STEP_MS:
            self.write(Draft(Kind.CLOCK_STEP, note=f"{stepped:+d} ms"), moment)

    def _facts(self, tap: Book, situation: Situation, moment: Moment) -> Facts:
        in_force = self.switch_bundle(moment)
        snapshot = self._snapshot(tap.card.reference) if tap.card else None
        is_void = tap.order is not None and tap.order.kind is OrderKind.VOID
        refers_to = tap.order.refers_to if tap.order and is_void else None
        target = self._target(refers_to)
        return Facts(
            in_force,
            snapshot,
            self.pending.use(tap.card.reference) if tap.card else OfflineUse(0, 0),
            list_version=self.cache.state.version,
            online=situation.online,
            closed=situation.closed,
            target=target,
            target_known=target is not None and place_of(target) <= self.pending.acknowledged,
            voided=is_void and any(each.refers_to == refers_to for each in self.journal.voids()),
        )

    def _carried_out(
        self,
        decision: Decision,
        facts: Facts,
        moment: Moment,
        order: Order | None,
        purse: HeldPurse | None,
    ) -> tuple[Answer, Record]:
        """Write what was decided, once the card paid if it is to."""
        asked = _encode(order) if order else None
        by_card = any(tender.method == CARD_PURSE for tender in decision.draft.tenders)
        try:
            if purse is not None and by_card:
                return self._paid_by_card(decision, facts, moment, asked, purse)
            return self._booked(decision, facts, moment, asked)
        except ProtocolError as error:
            return self._booked(unrecordable(decision, error), facts, moment, asked)

    def _paid_by_card(
        self,
        decision: Decision,
        facts: Facts,
        moment: Moment,
        asked: bytes | None,
        purse: HeldPurse,
    ) -> tuple[Answer, Record]:
        meant = self._next(decision.draft, moment)
        charge = Charge(
            tid=meant.tid,
            reader_id=reader_id(self._terminal),
            amount=meant.total,
            number=int.from_bytes(meant.tid[-_NUMBER_BYTES:], "big"),
            wall_ms=moment.wall_ms,
        )
        intent = Intent(meant, asked, purse.prepare(charge))
        self.journal.intend(intent)
        try:
            debited = purse.debit(intent.data)
        except DriverError as error:
            self._tear(intent, moment)
            raise CardTorn(str(error)) from error
        if meant.card is not None:
            draft = decision.draft._replace(card=paid(meant.card, debited))
            decision = decision._replace(draft=draft)
        return self._booked(decision, facts, moment, asked, meant.tid)

    def _tear(self, intent: Intent, moment: Moment) -> None:
        """Write that it is not known whether the card paid."""
        record = self._next(torn(intent.record), moment)
        self.journal.append(record, tears=intent.record.tid)

    def _settle(
        self, tap: Book, situation: Situation, purse: HeldPurse, moment: Moment
    ) -> tuple[Answer, Record] | None:
        """Write what became of an earlier debit of this card, if one is open.

        Returns the answer if that is this tap's too.
        """
        intent = self.journal.intent_of(tap.card.reference) if tap.card else None
        if intent is None or tap.card is None:
            return None
        settled = purse.fate(intent.data)
        wanted = tap.order is not None and intent.asked == _encode(tap.order)
        draft = settlement(intent.record, settled, tap.card, still_wanted=wanted)
        tid = intent.record.tid
        if draft.kind is Kind.CARD_EVENT:
            self._note_settled(intent, draft, moment)
            if draft.reason == CARD_IN_DOUBT and wanted and tap.order is not None:
                return self._in_doubt(tap, situation, moment, tap.order)
            return None
        facts = self._facts(tap, situation, moment)._replace(target=None)
        state = facts.snapshot.state if facts.snapshot else None
        # The sale happened when the card paid, by the prices of then.
        at, asked = (intent.record.moment, intent.asked) if wanted else (moment, None)
        booked = self._booked(Decision(draft, state), facts, at, asked, tid)
        return booked if wanted or tap.order is None else None

    def _note_settled(self, intent: Intent, draft: Draft, moment: Moment) -> None:
        """Write that no money moved, or that the card cannot tell; whatever the card says now."""
        tid = intent.record.tid
        try:
            self.journal.append(self._next(draft, moment), ends=tid)
        except ProtocolError:
            draft = draft._replace(card=intent.record.card)
            self.journal.append(self._next(draft, moment), ends=tid)

    def _in_doubt(
        self, tap: Book, situation: Situation, moment: Moment, order: Order
    ) -> tuple[Answer, Record]:
        """Decline an order that the card may have paid: it must not be asked for it twice."""
        facts = self._facts(tap, situation, moment)
        declined = decide(Tap(order, None, CARD_IN_DOUBT), facts)
        draft = declined.draft._replace(card=named(tap.card))
        return self._booked(declined._replace(draft=draft), facts, moment, _encode(order))

    def _booked(
        self,
        decision: Decision,
        facts: Facts,
        moment: Moment,
        asked: bytes | None,
        intended: bytes | None = None,
    ) -> tuple[Answer, Record]:
        """Write what was decided, or what was ``intended`` under this id and has happened.

        ProtocolError when it cannot be a record.
        """
        record = self._next(decision.draft, moment, intended)
        state = decision.state and state_behind(decision.state, record, facts.target)
        answer = answer_of(record, state, facts.target)
        self._booking = self.journal.head
        self.journal.append(record, _encode(answer), asked, ends=intended)
        self._booking = None
        self.pending.add(record, facts.target)
        if facts.snapshot is not None and state is not None:
            self._keep(facts.snapshot.member, state)
        return answer, record

    def _snapshot(self, reference: bytes) -> Snapshot | None:
        """Return the member of a card with our own records on top."""
        snapshot = self.cache.snapshot(reference)
        if snapshot is None:
            return None
        state = self._states.get(snapshot.member)
        if state is None:
            cards = (card.reference for card in snapshot.cards)
            state = state_after(snapshot.state, self.pending.events(cards))
        return structs.replace(snapshot, state=state)

    def _keep(self, member: str, state: State) -> None:
        if len(self._states) >= STATES_KEPT:
            self._states.clear()
        self._states[member] = state

    def _target(self, tid: bytes | None) -> Record | None:
        return self.journal.find(tid) if tid else None

    def _next(self, draft: Draft, moment: Moment, tid: bytes | None = None) -> Record:
        """Give a draft its place behind the head, and an id if it has none."""
        self.clock.not_before(moment.wall_ms)
        if tid is None:  # what was intended has the moment of then
            self._moment = moment
        tid = tid or uuid7(moment.wall_ms, self._random(_TID_RANDOM_BYTES))
        return record_behind(self.journal.head, draft, Stamp(self._terminal, tid, moment))


def _answer_in(booked: Booked) -> Answer:
    return _decode(booked.answer) if booked.answer else answer_of(booked.record, None, None)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
