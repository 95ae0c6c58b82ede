"""Figures of the gateway for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally

from prometheus_client import CollectorRegistry, Counter, Histogram

from cloud.ledger.transaction import Committed


class Counts:
    """Counters in ``registry``; reasons are the stable codes of refusals."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._records = Counter(
            "tapledger_records", "Records taken in, by state", ["state"], registry=registry
        )
        self._duplicates = Counter(
            "tapledger_duplicates", "Records that had come before", registry=registry
        )
        self._refused = Counter(
            "tapledger_refused", "Messages refused, by reason", ["reason"], registry=registry
        )
        self._quarantined = Counter(
            "tapledger_quarantined", "Records kept apart, by reason", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            "tapledger_ingest_seconds", "From batches to their commit", registry=registry
        )
        self._failed = Counter(
            "tapledger_gateway_failures",
            "Unforeseen failures that were survived",
            registry=registry,
        )

    def committed(self, committed: Committed, seconds: float) -> None:
        """Count what one call of the ledger did."""
        self._seconds.observe(seconds)
        for made in committed.made:
            for state, number in Tally(row.state for row in made.records).items():
                self._records.labels(state).inc(number)
            for row in made.quarantine:
                self._quarantined.labels(row.reason).inc()
            self._duplicates.inc(made.duplicates)
        for refusal in committed.refusals:
            self.refused(refusal.reason)

    def refused(self, reason: str) -> None:
        """Count a message of which nothing took effect."""
        self._refused.labels(reason).inc()

    def failed(self) -> None:
        """Count a failure that nobody foresaw."""
        self._failed.inc()
