"""A card desk for tests: real keys, a reader that the test brings, a clock that stands."""

from __future__ import annotations

import os
import time

from drivers.reader import Reader
from protocol.card_keys import TransportKey
from provisioning.authority import Authority
from provisioning.cards import CardDesk
from provisioning.cloud_api import CloudApi
from provisioning.loads import Loads

TRANSPORT = TransportKey(bytes(range(16)))
DAY = 20_000
DAY_S = 86_400


def card_desk(
    authority: Authority, reader: Reader, *sites: str, cloud: CloudApi | None = None
) -> CardDesk:
    """The desk at ``reader``; its cards are known at ``sites``."""
    keys = [authority.site_key(site) for site in sites]
    return CardDesk(
        reader=reader,
        tenant=authority.tenant,
        keys=authority.cards,
        sites=tuple(key for key in keys if key),
        loads=Loads(authority.folder / "loads"),
        cloud=cloud,
        page="cloud.example/v1/sun",
        wall_s=lambda: DAY * DAY_S,
        draw=os.urandom,
        now=time.monotonic,
        transport=TRANSPORT,
    )
