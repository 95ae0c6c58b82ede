"""The life of one print: one table. What is not known to be printed is never printed by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class JobState(StrEnum):
    """Where a print is."""

    QUEUED = "queued"
    PRINTING = "printing"
    PRINTED = "printed"
    UNKNOWN = "unknown"


class JobEvent(StrEnum):
    """What happens to a print."""

    STARTED = "started"  # written down before the first byte leaves
    CONFIRMED = "confirmed"  # the printer said, behind the last byte, that it is there
    DOUBTED = "doubted"  # no such word, or the program ended in between
    ASKED_AGAIN = "asked_again"  # by a person


# What is not here does not happen: nothing but a person leads away from PRINTED and UNKNOWN.
TABLE = {
    (JobState.QUEUED, JobEvent.STARTED): JobState.PRINTING,
    (JobState.PRINTING, JobEvent.CONFIRMED): JobState.PRINTED,
    (JobState.PRINTING, JobEvent.DOUBTED): JobState.UNKNOWN,
    (JobState.PRINTED, JobEvent.ASKED_AGAIN): JobState.QUEUED,
    (JobState.UNKNOWN, JobEvent.ASKED_AGAIN): JobState.QUEUED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A receipt's print. ``copy``: it may be on paper already, so the next one says COPY."""

    number: str
    state: JobState = JobState.QUEUED
    copy: bool = False


def step(job: Job, event: JobEvent) -> Job:
    """Return the job after ``event``; one that the table does not have changes nothing."""
    state = TABLE.get((job.state, event))
    if state is None:
        return job
    return replace(job, state=state, copy=job.copy or event is JobEvent.ASKED_AGAIN)


def after_restart(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs of the program before: what it was printing is unknown."""
    return [step(job, JobEvent.DOUBTED) for job in jobs]


def next_job(jobs: Iterable[Job]) -> Job | None:
    """Return the first that waits to be printed."""
    return next((job for job in jobs if job.state is JobState.QUEUED), None)
