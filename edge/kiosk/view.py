"""What the page shows for a screen of the terminal, in both languages; drawing is the page's."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from edge.currency import currency
from edge.decide import BALANCE_SHOWN, BALANCE_TOO_LOW
from edge.kiosk.model import Panel, Row, Said, Shop, Texts, Tile, Tone, TopUp, View
from edge.order import Answer, AnswerState, OrderKind
from edge.ports import Screen
from edge.tap_flow import Phase
from protocol.membership.event import CARD_IN_DOUBT, CARD_PURSE, CARD_TORN

# Of drivers.print_supervisor.PrinterHealth, which has threads and is nothing for a pure module.
_READY = "ready"
# Orders that the page itself placed bear this: it may cancel them, and no others.
KIOSK_ORDER = "kiosk-"


def view(
    screen: Screen, texts: Texts, top_ups: tuple[int, ...] = (), *, receipts: bool = False
) -> View:
    """Return what the page shows for ``screen``.

    ``top_ups`` are the amounts that it offers, ``receipts`` whether it offers to print them.
    """
    phase = screen.phase
    if screen.closed and phase in (Phase.ATTRACT, Phase.WAITING_CARD):
        phase = Phase.CANNOT_ACCEPT
    order = screen.order.id if screen.order and phase is Phase.WAITING_CARD else ""
    return View(
        revision=screen.revision,
        terminal=screen.terminal,
        phase=phase,
        panel=_PANELS[phase](screen, texts),
        shop=_shop(screen, top_ups),
        notice=_advice(screen.problem, texts) if screen.problem else None,
        offline=None if screen.online else _filled(texts["badge.offline"], queue=screen.queue),
        order=order,
        own=order.startswith(KIOSK_ORDER),
        news=screen.answer.tid if screen.answer else "",
        receipt=_printable(screen) if receipts else "",
        lasts_s=screen.lasts_s,
    )


def reason(code: str, texts: Texts) -> Said:
    """Why something did not happen, in plain words; a general word for a code without its own."""
    return texts.get(f"reason.{code}", texts["reason.other"])


def _advice(code: str, texts: Texts) -> Said:
    why, todo = reason(code, texts), texts.get(f"todo.{code}", texts["todo.other"])
    return Said(f"{why.zh}{todo.zh}", f"{why.en} {todo.en}")


def _filled(text: Said, **values: object) -> Said:
    return Said(text.zh.format(**values), text.en.format(**values))


def _same(text: str) -> Said:
    """A name or number that reads the same in both languages."""
    return Said(text, text)


def _shop(screen: Screen, top_ups: tuple[int, ...]) -> Shop:
    money = currency(screen.currency)
    return Shop(
        bundle=screen.bundle,
        currency=money,
        tiles=tuple(
            Tile(
                product.sku,
                Said(product.name_zh or product.sku, product.name_en or product.sku),
                product.price,
                money.show(product.price),
            )
            for product in screen.products
        ),
        top_ups=tuple(TopUp(amount, money.show(amount)) for amount in top_ups),
    )


def _attract(_: Screen, texts: Texts) -> Panel:
    return Panel(picture="tap", title=texts["title.attract"])


def _waiting(screen: Screen, texts: Texts) -> Panel:
    kind = screen.order.kind if screen.order else OrderKind.SALE
    return Panel(
        picture="tap",
        title=texts[f"title.{kind}"],
        text=None if screen.problem else texts[f"text.{kind}"],  # the notice says what to do
        note=texts["text.member_price"] if kind is OrderKind.SALE and not screen.problem else None,
        amount=currency(screen.currency).show(_due(screen)) if kind is not OrderKind.VOID else "",
        rows=_goods(screen, texts),
    )


def _working(_: Screen, texts: Texts) -> Panel:
    return Panel(picture="working", title=texts["title.working"], text=texts["text.working"])


def _cannot_accept(screen: Screen, texts: Texts) -> Panel:
    code = screen.closed or "journal_refused"
    return Panel(
        picture="closed",
        title=texts["title.cannot_accept"],
        text=reason(code, texts),
        todo=texts.get(f"todo.{code}", texts["todo.other"]),
        note=texts["text.cannot_accept"],
        rows=(Row(texts["fact.code"], _same(code)),),
    )


def _result(screen: Screen, texts: Texts) -> Panel:
    answer = screen.answer
    if answer is None:
        return _attract(screen, texts)
    if answer.state is not AnswerState.APPROVED:
        return _declined(screen, answer, texts)
    if answer.code == BALANCE_SHOWN:
        return _balance(screen, answer, texts)
    return Panel(
        tone=Tone.YES,
        picture=answer.kind,
        title=texts[f"title.approved_{answer.kind}"],
        note=_note(answer, texts),
        amount=currency(screen.currency).show(answer.total),
        rows=_facts(screen, answer, texts),
    )


def _note(answer: Answer, texts: Texts) -> Said | None:
    if answer.code == CARD_TORN:
        return texts["text.torn_paid_in"]
    if answer.offline:
        return texts["text.saved_offline"]
    return texts["text.paid_by_card"] if answer.method == CARD_PURSE else None


def _balance(screen: Screen, answer: Answer, texts: Texts) -> Panel:
    amount = "" if answer.balance is None else currency(screen.currency).show(answer.balance)
    return Panel(
        tone=Tone.YES,
        picture="balance",
        title=texts["title.balance"],
        note=texts["text.balance_offline"] if answer.offline else None,
        amount=amount,
        rows=_facts(screen, structs.replace(answer, balance=None), texts),
    )


def _printable(screen: Screen) -> str:
    """The answered order whose receipt would come out now."""
    answer = screen.answer
    is_booked = answer is not None and answer.state is AnswerState.APPROVED and answer.receipt
    return answer.order if answer and is_booked and screen.printer == _READY else ""


def _declined(screen: Screen, answer: Answer, texts: Texts) -> Panel:
    known = f"reason.{answer.code}" in texts
    rows = _facts(screen, answer, texts)
    return Panel(
        tone=Tone.NO,
        picture="declined",
        title=texts["title.declined"],
        text=reason(answer.code, texts),
        todo=texts.get(f"todo.{answer.code}", texts["todo.other"]),
        note=texts["text.kept"] if answer.order and answer.code != CARD_IN_DOUBT else None,
        top_up=answer.code == BALANCE_TOO_LOW and answer.order.startswith(KIOSK_ORDER),
        rows=rows if known else (*rows, Row(texts["fact.code"], _same(answer.code))),
    )


def _due(screen: Screen) -> int:
    order = screen.order
    return order.amount if order and order.kind is OrderKind.TOP_UP else screen.total


def _goods(screen: Screen, texts: Texts) -> tuple[Row, ...]:
    money = currency(screen.currency)
    names = {product.sku: product for product in screen.products}
    rows = []
    for line in screen.lines:
        product = names.get(line.sku)
        name = Said(product.name_zh, product.name_en) if product else _same(line.sku)
        counted = texts["fact.quantity"]
        label = Said(
            counted.zh.format(name=name.zh, quantity=line.quantity),
            counted.en.format(name=name.en, quantity=line.quantity),
        )
        rows.append(Row(label, _same(money.show(line.net_price))))
    return tuple(rows)


def _facts(screen: Screen, answer: Answer, texts: Texts) -> tuple[Row, ...]:
    """What the member keeps: balances, points, tier, receipt; each only when it is known."""
    money, on_card = currency(screen.currency), answer.card_balance
    facts: list[tuple[str, Said | None]] = [
        ("earned", _same(f"+{answer.earned}") if answer.earned else None),
        ("balance", None if answer.balance is None else _same(money.show(answer.balance))),
        ("card_balance", None if on_card is None else _same(money.show(on_card))),
        ("points", None if answer.points is None else _same(str(answer.points))),
        ("tier", texts.get(f"tier.{answer.tier}", _same(answer.tier)) if answer.tier else None),
        ("receipt", _same(answer.receipt) if answer.receipt else None),
    ]
    return tuple(Row(texts[f"fact.{name}"], value) for name, value in facts if value is not None)


_PANELS: Mapping[Phase, Callable[[Screen, Texts], Panel]] = {
    Phase.ATTRACT: _attract,
    Phase.WAITING_CARD: _waiting,
    Phase.WORKING: _working,
    Phase.RESULT: _result,
    Phase.CANNOT_ACCEPT: _cannot_accept,
}
