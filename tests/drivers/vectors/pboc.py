"""The PBOC purse: one load, one purchase, one proof at a time.

Amounts and balances of a case are numbers; everything else is hex.
"""

from __future__ import annotations

from drivers.secure_channel import pboc
from tests.drivers.vectors import Case, Check, UnknownCase, raw


def agree(case: Case, made: dict[str, bytes]) -> None:
    """Every value that the case names is the one that was made."""
    for name in made.keys() & case.keys():
        assert made[name] == raw(case, name), name


def check_load(case: Case) -> None:
    offer = pboc.LoadOffer.decode(raw(case, "rapdu_init"))
    amount, kind, terminal = case["amount"], int(case["tran_type"], 16), raw(case, "terminal")
    purse, sent = pboc.Purse(kind), raw(case, "capdu_init")
    assert purse.load_type == kind
    assert offer.balance == case["balance_before"]
    key = pboc.session_key(raw(case, "load_key"), pboc.load_input(offer))
    moment = raw(case, "capdu_load")[5:12]
    mac2_input = pboc.transaction(amount, kind, terminal, moment)
    mac2 = pboc.mac(key, mac2_input)
    made = {
        "capdu_init": pboc.initialize_load(purse, sent[5], amount, terminal).encode(),
        "rapdu_init": offer.encode(),
        "random": offer.random,
        "online_seq": offer.online_seq,
        "session_input": pboc.load_input(offer),
        "session_key": key,
        "mac1_input": pboc.load_mac1_input(offer.balance, amount, kind, terminal),
        "mac1": pboc.mac(key, pboc.load_mac1_input(offer.balance, amount, kind, terminal)),
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
    purse, terminal = pboc.Purse(sent[3]), sent[10:16]
    amount, kind = int.from_bytes(sent[6:10], "big"), purse.purchase_type
    terminal_seq = int.from_bytes(raw(case, "session_input")[6:], "big")
    key = pboc.session_key(raw(case, "purchase_key"), pboc.purchase_input(offer, terminal_seq))
    mac1_input = pboc.transaction(amount, kind, terminal, raw(case, "mac1_input")[11:])
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
        "mac1": pboc.mac(key, mac1_input),
        "mac2_input": pboc.purchase_mac2_input(amount),
        "mac2": pboc.mac(key, pboc.purchase_mac2_input(amount)),
    }
    agree(case, made)
    assert amount == case.get("amount", amount)


def check_tac(case: Case) -> None:
    key = pboc.tac_key(raw(case, "tac_key"))
    agree(case, {"tac_session_key": key, "tac": pboc.mac(key, raw(case, "tac_input"))})


def check_external_authentication(case: Case) -> None:
    challenge = raw(case, "challenge")
    made = {
        "get_challenge": pboc.get_challenge(len(challenge)).encode(),
        "block": pboc.authentication_block(challenge),
        "capdu": pboc.external_authenticate(raw(case, "key"), challenge).encode(),
    }
    agree(case, made)


KINDS = {
    "PBOC_LOAD": check_load,
    "PBOC_PURCHASE": check_purchase,
    "PBOC_TAC": check_tac,
    "EXTERNAL_AUTH": check_external_authentication,
}


def check_purse(case: Case, _: Case) -> None:
    if case["type"] not in KINDS:
        raise UnknownCase(case["type"])
    KINDS[case["type"]](case)


CHECKS: dict[str, Check] = {"pboc_epurse": check_purse}
