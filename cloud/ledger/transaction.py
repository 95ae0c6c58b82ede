"""Runs plans: one transaction for many batches, watermarks of what was committed.

When a batch that none of the checks refuse makes the transaction fail all the same, the batches
are tried one by one, and then its records: the one that cannot be booked is kept apart, and those
behind it go on. A failure that passes keeps nothing apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from cloud.errors import StorageDown
from cloud.ledger.audit import Auditor
from cloud.ledger.chains import INTERNAL, Batch, Held, Refusal
from cloud.ledger.ingest import Plan, Rules, plan
from cloud.storage.engine import Database
from cloud.storage.rows import Chain
from cloud.storage.unit_of_work import bundle_data, unit_of_work
from protocol.batch import unpack
from protocol.codec import decode
from protocol.rules.bundle import Bundle
from protocol.signing import split
from protocol.watermark import Watermark

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Committed:
    """What one call committed; ``made`` are the plans that were written."""

    watermarks: tuple[Watermark, ...]
    refusals: tuple[Refusal, ...]
    made: tuple[Plan, ...]


class Ledger:
    """The writer of the books. ``clock`` gives UTC in ms since 1970."""

    def __init__(self, database: Database, currency: str, clock: Callable[[], int]) -> None:
        self._database = database
        self._rules = Rules(Auditor(self._bundle), currency)
        self._clock = clock
        self._held: Held = {}

    def ingest(self, batches: Sequence[Batch]) -> Committed:
        """Take ``batches`` in their order; StorageDown when nothing could be committed."""
        try:
            return self._commit(batches)
        except StorageDown:
            raise
        except Exception as error:  # noqa: BLE001  (whatever it is, the others must go on)
            if len(batches) == 1:
                return self._commit_in_part(batches[0], error)
            parts = [self.ingest([batch]) for batch in batches]
            return Committed(
                tuple(watermark for part in parts for watermark in part.watermarks),
                tuple(refusal for part in parts for refusal in part.refusals),
                tuple(each for part in parts for each in part.made),
            )

    def _commit(self, batches: Sequence[Batch]) -> Committed:
        now_ms = self._clock()
        with unit_of_work(self._database) as unit:
            made = plan(batches, unit, self._rules, self._held, now_ms)
            unit.write(made, now_ms)
            watermarks = tuple(
                _watermark(chain, made, unit.kept_apart(chain) if chain.quarantined else (), now_ms)
                for chain in made.chains
            )
        self._held = made.held
        return Committed(watermarks, tuple(made.refusals), (made,))

    def _commit_in_part(self, batch: Batch, error: Exception) -> Committed:
        """Commit ``batch``: whole, or without the one record that fails, or without any; or refuse.

        First whole once more: what failed may have been the machine, and not a record.
        """
        _log.error(INTERNAL, terminal=batch.terminal, site=batch.site, exc_info=error)
        self._held = {}  # it may be one of those, which come again
        count = len(unpack(batch.data))
        for apart in ((), *((at,) for at in range(count)), range(count)):
            try:
                return self._commit([batch._replace(apart=apart)])
            except StorageDown:
                raise
            except Exception as failure:  # noqa: BLE001  (as above)
                error = failure
        refusal = Refusal(batch.terminal, INTERNAL, type(error).__name__)
        return Committed((), (refusal,), ())

    def _bundle(self, digest: bytes) -> Bundle | None:
        with self._database.read() as connection:
            return published(connection, digest)


def published(connection: Connection, digest: bytes) -> Bundle | None:
    """The bundle that was published with ``digest``."""
    data = bundle_data(connection, digest)
    return None if data is None else decode(split(data).payload, Bundle)


def _watermark(
    chain: Chain, made: Plan, apart: tuple[tuple[int, str], ...], now_ms: int
) -> Watermark:
    return Watermark(
        terminal=chain.terminal,
        epoch=chain.epoch,
        upto_seq=chain.head.seq,
        head_hash=chain.head.hash,
        server_ms=now_ms,
        missing=made.missing[chain.chain],
        quarantined=apart,
        standing=chain.standing,
    )
