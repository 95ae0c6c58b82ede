"""English names of the codes that records and terminals carry; the catalogue has the Chinese."""

from __future__ import annotations

WORDS: dict[str, str] = {
    # protocol.record.Kind
    "sale": "Sale",
    "top_up": "Top-up",
    "void": "Void",
    "refund": "Refund",
    "earn": "Points earned",
    "redeem": "Points redeemed",
    "pass_use": "Pass used",
    "coupon_use": "Coupon used",
    "enrol": "Enrolment",
    "card_event": "Card event",
    "decline": "Declined",
    "bundle_on": "New prices in force",
    "list_on": "New member list",
    "clock_step": "Clock stepped",
    "operator": "Operator",
    "tamper": "Tampering",
    "epoch_open": "Epoch opened",
    "gap_declared": "Gap declared",
    # state of a record
    "posted": "Posted",
    "noted": "Noted",
    "quarantined": "Quarantined",
    # presence and standing of a terminal
    "online": "Online",
    "offline": "Offline",
    "silent": "Silent",
    "never": "Never heard",
    "active": "Active",
    "drain_only": "Revoked",
    "forked": "Forked",
    # state of a card or bundle
    "frozen": "Frozen",
    "lost": "Lost",
    "cancelled": "Cancelled",
    "in_force": "In force",
    "scheduled": "Scheduled",
    "past": "Past",
    # roles
    "admin": "Administrator",
    "operator_role": "Operator",
    "provisioner": "Provisioner",
    "reader": "Reader",
    # commands and their answers
    "sync_now": "Sync now",
    "lock": "Lock",
    "unlock": "Unlock",
    "done": "Done",
    # why a terminal declined, or what a card event was
    "balance_shown": "Balance shown",
    "balance_too_low": "Balance too low",
    "offline_limit": "Offline limit reached",
    "card_frozen": "Card is frozen",
    "card_lost": "Card is reported lost",
    "card_cancelled": "Card is cancelled",
    "card_unknown": "Card is not known",
    "terminal_locked": "Terminal is locked",
    "terminal_stopped": "Terminal is stopped",
    "no_prices": "Terminal has no prices",
    # how money came in
    "stored_value": "Stored value",
    "cash": "Cash",
}
