"""What stands on the receipt of a record: pure, in one language. Printing it is left to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from drivers.printers.document import Receipt, Row
from edge.currency import Currency, currency
from edge.order import Answer
from protocol.receipt import Proof, proof_text
from protocol.record import Line, Mode, Record
from protocol.rules.bundle import Product


class Wording(NamedTuple):
    """The terminal's language: ``texts`` by their keys, ``chinese`` for names of products."""

    texts: Mapping[str, str]
    chinese: bool


class Shop(NamedTuple):
    """``name`` heads the receipt; ``currency`` is an ISO 4217 code."""

    name: str
    currency: str
    products: Mapping[str, Product]


class Told(NamedTuple):
    """A booked order: its record with its hash, the answer that was given, its local time."""

    record: Record
    hash: bytes
    answer: Answer
    time: str
    refers_to: str  # receipt of the record that it takes back, empty where it takes none


def compose(told: Told, shop: Shop, wording: Wording) -> Receipt:
    """Return the receipt of an approved order."""
    record = told.record
    proof = Proof(terminal=record.terminal, epoch=record.epoch, seq=record.seq, hash=told.hash)
    rows = (*_head(told, shop, wording), *_goods(record.lines, shop, wording))
    rows = (*rows, *_paid(told, shop, wording), *_kept(told, shop, wording))
    return Receipt(record.receipt, rows, proof_text(proof))


def _head(told: Told, shop: Shop, wording: Wording) -> Iterator[Row]:
    texts = wording.texts
    yield Row(shop.name, strong=True, centred=True)
    yield Row(texts[f"receipt.{told.answer.kind}"], centred=True)
    yield Row(told.time, centred=True)
    if told.refers_to:
        yield Row(texts["receipt.refers_to"], told.refers_to)
    if told.record.mode is Mode.OFFLINE:
        yield Row(texts["receipt.offline"], centred=True)
    yield Row()


def _goods(lines: tuple[Line, ...], shop: Shop, wording: Wording) -> Iterator[Row]:
    """Each product with its own price, and below what was taken off."""
    money = currency(shop.currency)
    for line in lines:
        product = shop.products.get(line.sku)
        names = (product.name_zh, product.name_en) if product else ("", "")
        name = names[0 if wording.chinese else 1] or line.sku
        counted = wording.texts["fact.quantity"].format(name=name, quantity=line.quantity)
        yield Row(counted, money.show(line.list_price))
        if line.net_price < line.list_price:
            off = money.show(line.list_price - line.net_price)
            yield Row(f"  {wording.texts['receipt.off']}", f"-{off}")


def _paid(told: Told, shop: Shop, wording: Wording) -> Iterator[Row]:
    texts, money = wording.texts, currency(shop.currency)
    yield Row(texts["fact.total"], money.show(told.answer.total), strong=True)
    for tender in told.record.tenders:
        name = texts.get(f"tender.{tender.method}", tender.method)
        yield Row(name, money.show(tender.amount))


def _kept(told: Told, shop: Shop, wording: Wording) -> Iterator[Row]:
    """What the member has after it; each only where it is known."""
    money = currency(shop.currency)
    facts = (*_gained(told.answer), *_balances(told.answer, money))
    if facts:
        yield Row()
    for name, value in facts:
        yield Row(wording.texts[f"fact.{name}"], value)


def _gained(answer: Answer) -> Iterator[tuple[str, str]]:
    if answer.earned:
        yield "earned", f"+{answer.earned}"
    if answer.points is not None:
        yield "points", str(answer.points)


def _balances(answer: Answer, money: Currency) -> Iterator[tuple[str, str]]:
    if answer.balance is not None:
        yield "balance", money.show(answer.balance)
    if answer.card_balance is not None:
        yield "card_balance", money.show(answer.card_balance)
