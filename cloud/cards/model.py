"""What a tag's message says and proves under the estate's key. Pure; the counters tell a copy."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from protocol.card_keys import SiteKey
from protocol.errors import SunRefused
from protocol.estate import EstateKey
from protocol.sun_link import LABEL_BYTES, file_key, meta_key, parse

# A link names its site, so that strangers can name any: the keys of so many are kept.
SITES_KEPT = 256


class TagRead(NamedTuple):
    """One read of one tag: ``counter`` rises with each, so that a message holds once."""

    uid: bytes
    counter: int


class TagMessages:
    """Checks the messages of a tenant's tags."""

    def __init__(self, estate: EstateKey, tenant: str) -> None:
        self._estate = estate
        self._label = tenant[:LABEL_BYTES]
        self._keys = lru_cache(maxsize=SITES_KEPT)(self._keys_of)

    def read(self, link: bytes) -> TagRead:
        """Return which tag wrote ``link`` in which of its reads; SunRefused when none of ours."""
        taken = parse(link)
        site, meta = self._keys(taken.site)
        picc = taken.open(meta)
        if taken.check(picc, file_key(site, picc.uid)) != self._label or picc.counter is None:
            raise SunRefused("a tag of another programme")
        return TagRead(picc.uid, picc.counter)

    def _keys_of(self, site: str) -> tuple[SiteKey, bytes]:
        key = self._estate.site_key(site)
        return key, meta_key(key)
