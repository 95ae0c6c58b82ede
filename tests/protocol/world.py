"""Keys and records from which the tests of the protocol start."""

from __future__ import annotations

from protocol.chain import Head
from protocol.moment import Moment, Quality
from protocol.record import BundleRef, Card, CardClass, Kind, Line, Record, Sealed, Tender, seal
from protocol.signing import Ed25519Signer, SigningKey

TERMINAL_KEY = Ed25519Signer(bytes(range(32)))
CLOUD_KEY = Ed25519Signer(bytes(range(1, 33)))
CLOUD_KEYS = {CLOUD_KEY.key_id: CLOUD_KEY.verifier}
FIRST_HEAD = Head(1, 0, b"\x11" * 32)


def sale(head: Head, amount: int = 500, terminal: str = "t-0001") -> Record:
    """The sale that follows ``head``."""
    seq = head.seq + 1
    return Record(
        tid=seq.to_bytes(16, "big"),
        terminal=terminal,
        epoch=head.epoch,
        seq=seq,
        prev=head.hash,
        moment=Moment(b"bootboot", seq, 1_790_000_000_000 + seq, Quality.BOUNDED, 50),
        kind=Kind.SALE,
        card=Card(b"r" * 16, "cpu", CardClass.SECURE, counter=seq, proof=b"p" * 84),
        lines=(Line("coffee", 1, amount, amount, ("gold10",)),),
        tenders=(Tender("stored_value", amount),),
        earned=amount // 100,
        tier="gold",
        bundle=BundleRef(3, b"b" * 32),
        receipt=f"{terminal}-{head.epoch}-{seq}",
    )


def run(count: int, head: Head = FIRST_HEAD, key: SigningKey = TERMINAL_KEY) -> list[Sealed]:
    """``count`` sealed sales that follow ``head``."""
    sealed = []
    for _ in range(count):
        sealed.append(seal(sale(head), key))
        head = Head(head.epoch, head.seq + 1, sealed[-1].hash)
    return sealed
