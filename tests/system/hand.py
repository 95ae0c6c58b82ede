"""A terminal played by hand: it has the keys of an enrolled one, and says whatever a test likes."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.batch import pack
from protocol.chain import Head
from protocol.grant import opening_head
from protocol.record import Card, CardClass, Kind, Sealed, Tender
from protocol.signing import Ed25519Signer
from protocol.topics import Up, up_topic
from provisioning.demo.opening import now_ms
from provisioning.demo.town import Terminal
from provisioning.processes import wait_until
from tests.cloud.town import Till, make_bundle
from tests.services.broker import Client
from tests.system.rig import DRAIN_S, MEMBERS, Rig

_CONNECT_S = 20.0


class Hand:
    """``terminal`` of ``rig``, with a line of its own; close it when done."""

    def __init__(self, rig: Rig, terminal: Terminal) -> None:
        self.rig, self.terminal = rig, terminal
        private = load_pem_private_key((terminal.folder / "signing.pem").read_bytes(), None)
        assert isinstance(private, Ed25519PrivateKey)
        key = Ed25519Signer(private.private_bytes_raw())
        head = opening_head(1, (terminal.folder / "grant.cose").read_bytes())
        at = terminal.at
        self.till = Till(at.terminal, key, head, make_bundle(), Random(1), now_ms(), at.site)
        # Not the terminal's own client id: a broker throws out the first of two.
        self._line = Client(rig.broker_port, terminal.tls, f"{at.terminal}-hand", terminal.tls.ca)
        assert self._line.connected.wait(_CONNECT_S)

    def close(self) -> None:
        """End the line."""
        self._line.close()

    @property
    def topic(self) -> str:
        """Where its batches belong."""
        return up_topic(self.terminal.at, Up.TX)

    def twin(self, head: Head | None = None) -> Till:
        """A writer that holds the same key, and goes on from here or from ``head``."""
        made = copy(self.till)
        made.head = head or made.head
        return made

    def say(self, *messages: bytes, topic: str = "") -> None:
        """Publish; return when the broker has all of it."""
        infos = [self._line.mqtt.publish(topic or self.topic, each, qos=1) for each in messages]
        for info in infos:
            info.wait_for_publish(_CONNECT_S)
            assert info.is_published()

    def go_on(self) -> None:
        """Say two records that are as they should be; return when the ledger has them."""
        opening = [] if self.till.head.seq else [self.till.open()]
        self.say(packed([*opening, paid_in(self.rig, self.till), paid_in(self.rig, self.till)]))
        wait_until(self.is_current, DRAIN_S, "valid records behind it are taken")

    def is_current(self) -> bool:
        """Whether the ledger has all that it wrote itself, and holds nothing against it."""
        document = self.rig.terminal_document(self.terminal.at.terminal)
        assert document["standing"] == "active"
        return (document["upto_seq"], document["head_hash"]) == (
            self.till.head.seq,
            self.till.head.hash.hex(),
        )


def paid_in(rig: Rig, till: Till, amount: int = 500) -> Sealed:
    """The till's next record: somebody pays in."""
    card = Card(rig.cards[MEMBERS[0]].reference, "cpu", CardClass.SECURE)
    return till.record(Kind.TOP_UP, card=card, tenders=(Tender("cash", amount),), bundle=None)


def packed(records: Sequence[Sealed]) -> bytes:
    """The message that carries ``records``."""
    return pack([sealed.data for sealed in records])
