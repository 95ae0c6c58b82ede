"""The life of one print: one table. What is not known to be printed is never printed by itself."""

from __future__ import annotations

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
    """A receipt's print. ``copy``: which copy it is; 0 while it cannot be on paper already."""

    number: str
    state: JobState = JobState.QUEUED
    copy: int = 0


def step(job: Job, event: JobEvent) -> Job:
    """Return the job after ``event``; one that the table does not have changes nothing."""
    state = TABLE.get((job.state, event))
    if state is None:
        return job
    return replace(job, state=state, copy=job.copy + (event is JobEvent.ASKED_AGAIN))
