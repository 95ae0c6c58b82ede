"""The PBOC purse: one load, one purchase, one proof at a time.

Amounts and balances of a case are numbers; everything else is hex.
"""

from __future__ import annotations

import re

from drivers.secure_channel import pboc
from protocol import pboc_purse
from tests.drivers.vectors import Case, Check, UnknownCase, raw


def agree(case: Case, made: dict[str, bytes]) -> None:
    """Every value that the case names is the one that was made."""
    for name in made.keys() & case.keys():
        assert made[name] == raw(case, name), name


def static_key(case: Case) -> bytes:
    """The key on the card, named after what it is for; that of one session has 8 bytes."""
    (name,) = (name for name in case if name.endswith("key") and len(case[name]) == 32)
    return raw(case, name)


def check_load(case: Case) -> None:
    offer = pboc.LoadOffer.decode(raw(case, "rapdu_init"))
    amount, kind, terminal = case["amount"], int(case["tran_type"], 16), raw(case, "terminal")
    purse, sent = pboc_purse.Purse(kind), raw(case, "capdu_init")
    assert purse.load_type == kind
    assert offer.balance == case["balance_before"]
    key = pboc_purse.session_key(static_key(case), pboc.load_input(offer))
    moment = raw(case, "capdu_load")[5:12]
    mac2_input = pboc_purse.transaction(amount, kind, terminal, moment)
    mac2 = pboc_purse.mac(key, mac2_input)
    made = {
        "capdu_init": pboc.initialize_load(purse, sent[5], amount, terminal).encode(),
        "rapdu_init": offer.encode(),
        "random": offer.random,
        "online_seq": offer.online_seq,
        "session_input": pboc.load_input(offer),
        "session_key": key,
        "mac1_input": pboc.load_mac1_input(offer.balance, amount, kind, terminal),
        "mac1": pboc_purse.mac(key, pboc.load_mac1_input(offer.balance, amount, kind, terminal)),
        "mac2_input": mac2_input,
        "mac2": mac2,
        "capdu_load": pboc.credit(moment, mac2).encode(),
    }
    agree(case, made)
    assert offer.mac1 == made["mac1"]


def check_purchase(case: Case) -> None:
    """The published DEBIT command is of another transaction, so the moment is MAC1's."""
    offer = pboc.PurchaseOffer.decode(raw(case, "rapdu_init"))
    sent = raw(case, "capdu_init")
    purse, terminal = pboc_purse.Purse(sent[3]), sent[10:16]
    amount, kind = int.from_bytes(sent[6:10], "big"), purse.purchase_type
    terminal_seq = int.from_bytes(raw(case, "session_input")[6:], "big")
    key = pboc_purse.session_key(static_key(case), pboc.purchase_input(offer, terminal_seq))
    mac1_input = pboc_purse.transaction(amount, kind, terminal, raw(case, "mac1_input")[11:])
    made = {
        "capdu_init": pboc.initialize_purchase(purse, sent[5], amount, terminal).encode(),
        "rapdu_init": offer.encode(),
        "random": offer.random,
        "offline_seq": offer.offline_seq,
        "terminal": terminal,
        "tran_type": bytes((kind,)),
        "session_input": pboc.purchase_input(offer, terminal_seq),
        "session_key": key,
        "mac1_input": mac1_input,
        "mac1": pboc_purse.mac(key, mac1_input),
        "mac2_input": pboc.purchase_mac2_input(amount),
        "mac2": pboc_purse.mac(key, pboc.purchase_mac2_input(amount)),
    }
    agree(case, made)
    assert amount == case.get("amount", amount)


def check_tac(case: Case) -> None:
    key = pboc_purse.tac_key(raw(case, "tac_key"))
    agree(case, {"tac_session_key": key, "tac": pboc_purse.mac(key, raw(case, "tac_input"))})


def check_external_authentication(case: Case) -> None:
    challenge = raw(case, "challenge")
    made = {
        "get_challenge": pboc.get_challenge(len(challenge)).encode(),
        "block": pboc.authentication_block(challenge),
        "capdu": pboc.external_authenticate(raw(case, "key"), challenge).encode(),
    }
    agree(case, made)


def check_diversification(case: Case) -> None:
    """The fields walk down the levels: the master key, then a factor and the key it leads to."""
    values = [bytes.fromhex(value) for value in case.values() if is_key_or_factor(value)]
    key, *below = values
    assert len(below[-1]) == len(key), "nothing to compare with"
    for value in below:
        if len(value) == 16:
            assert key == value
        else:
            key = pboc.diversify(key, value)


def is_key_or_factor(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("([0-9a-f]{16}){1,2}", value))


# By a word of the case's type.
KINDS = {
    "LOAD": check_load,
    "PURCHASE": check_purchase,
    "TAC": check_tac,
    "DIV": check_diversification,
    "EXTERNAL_AUTH": check_external_authentication,
}


def check_purse(case: Case, _: Case) -> None:
    for word, check in KINDS.items():
        if word in case["type"]:
            return check(case)
    raise UnknownCase(case["type"])


CHECKS: dict[str, Check] = {"pboc_epurse": check_purse}
