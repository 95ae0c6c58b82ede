"""What the cloud of a simulation tells: the rules of cloud.gateway.tell over Books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha512
from typing import NamedTuple, Protocol

from cloud.ledger.ingest import Plan
from cloud.storage.rows import Chain
from edge.inbox import Trust
from protocol import member_list, watermark
from protocol.errors import BadSignature
from protocol.member_list import MemberList
from protocol.shadow import Reported
from protocol.signing import EDDSA, KEY_ID_BYTES
from protocol.topics import Down
from protocol.watermark import Watermark
from tests.simulation.ledger import Books


class HashKey:
    """A key of both kinds that costs a hash: nobody forges here, and much is said."""

    algorithm = EDDSA
    key_id = bytes(KEY_ID_BYTES)

    def sign(self, message: bytes) -> bytes:
        """See SigningKey."""
        return sha512(message).digest()

    def verify(self, signature: bytes, message: bytes) -> None:
        """See VerifyingKey."""
        if signature != self.sign(message):
            raise BadSignature


CLOUD_KEY = HashKey()
TRUST = Trust({CLOUD_KEY.key_id: CLOUD_KEY}, {})


class Say(Protocol):
    """The line to the broker: False when it takes nothing."""

    def __call__(self, name: str, leaf: Down, data: bytes, *, retain: bool) -> bool: ...


class _Has(NamedTuple):
    list_version: int
    epoch: int


class Gateway:
    """What speaks; crash it by making another, which hears again what the broker retained."""

    def __init__(self, books: Books, wall_ms: Callable[[], int], say: Say) -> None:
        self._books, self._wall_ms, self._say = books, wall_ms, say
        self._listed: dict[str, _Has] = {}
        for terminal, reported in books.reported.items():
            self.heard(terminal, reported)
        for terminal in books.newest:
            self.tell_retained(terminal)

    def tell_retained(self, terminal: str) -> None:
        """Say the mark of the epoch that the terminal reported."""
        reported = self._books.reported.get(terminal)
        self._tell_mark(self._books.at_epoch(terminal, reported.epoch if reported else 0))

    def tell_marks(self, made: Plan) -> None:
        """Say how far the ledger has the chains that a plan touched."""
        for chain in made.chains:
            has = self._listed.get(chain.terminal)
            other = has is not None and has.epoch != chain.epoch
            self._tell_mark(chain, made.missing[chain.chain], retain=not other)

    def heard(self, terminal: str, reported: Reported) -> None:
        """Note what a terminal has, and say the mark of its epoch if that is another one."""
        before = self._listed.get(terminal)
        self._listed[terminal] = _Has(reported.list_version, reported.epoch)
        if before is not None and before.epoch != reported.epoch:
            self._tell_mark(self._books.at_epoch(terminal, reported.epoch))

    def tell_members(self) -> bool:
        """Say to each terminal that reported what changed; False when the line took not all."""
        return all(self._tell_members_to(name) for name in self._listed)

    def _tell_members_to(self, name: str) -> bool:
        complete = False
        while not complete:
            has = self._listed[name]
            chain = self._books.at_epoch(name, has.epoch)
            changes = self._books.changes(has.list_version)
            if changes.base == has.list_version == changes.list_version:
                return True
            news = MemberList(
                terminal=name,
                base=changes.base,
                list_version=changes.list_version,
                epoch=chain.epoch,
                upto_seq=chain.head.seq,
                members=changes.members,
                complete=changes.complete,
                server_ms=self._wall_ms(),
            )
            data = member_list.issue(news, CLOUD_KEY)
            if not self._say(name, Down.MEMBERS, data, retain=False):
                return False
            self._listed[name] = has._replace(list_version=changes.list_version)
            complete = changes.complete
        return True

    def _tell_mark(
        self, chain: Chain, missing: Sequence[tuple[int, int]] = (), *, retain: bool = True
    ) -> None:
        mark = Watermark(
            terminal=chain.terminal,
            epoch=chain.epoch,
            upto_seq=chain.head.seq,
            head_hash=chain.head.hash,
            server_ms=self._wall_ms(),
            missing=tuple(missing),
            standing=chain.standing,
        )
        self._say(chain.terminal, Down.ACK, watermark.issue(mark, CLOUD_KEY), retain=retain)
