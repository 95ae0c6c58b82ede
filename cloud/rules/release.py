"""Makes a bundle of a draft: refuses what contradicts itself or its own golden vectors. Pure."""

from __future__ import annotations

from cloud.errors import BundleExists
from cloud.rules.model import Draft
from protocol.codec import decode
from protocol.rules.bundle import Bundle, Published, issue
from protocol.rules.evaluate import Pricing
from protocol.signing import SigningKey, split


def release(draft: Draft, tenant: str, newest: int, key: SigningKey) -> Published:
    """Check and sign ``draft``; ``newest`` is the highest number so far.

    BundleExists when the number does not rise; BadBundle when the bundle is wrong.
    """
    number = draft.number or newest + 1
    if number <= newest:
        raise BundleExists(f"{number}, newest is {newest}")
    bundle = Bundle(
        tenant=tenant,
        number=number,
        activate_ms=draft.activate_ms,
        currency=draft.currency,
        products=draft.products,
        rules=draft.rules,
        tiers=draft.tiers,
        limits=draft.limits,
        golden=draft.golden,
    )
    Pricing(bundle).check_golden()
    published = issue(bundle, key)
    # What a terminal will do first: a draft that cannot be read back must fail here, not there.
    decode(split(published.data).payload, Bundle)
    return published
