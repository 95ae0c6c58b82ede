"""The table of a print: what is unknown is never printed again by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.printers.job import TABLE, Job, JobEvent, JobState, step

MACHINE = st.sampled_from([each for each in JobEvent if each is not JobEvent.ASKED_AGAIN])


def test_the_table_is_this() -> None:
    queued, printing, printed, unknown = JobState
    started, confirmed, doubted, asked_again = JobEvent
    assert {
        (queued, started): printing,
        (printing, confirmed): printed,
        (printing, doubted): unknown,
        (printed, asked_again): queued,
        (unknown, asked_again): queued,
    } == TABLE


@given(st.lists(MACHINE))
def test_without_a_person_paper_comes_out_once_at_most(events: list[JobEvent]) -> None:
    job, started = Job("1"), 0
    for event in events:
        after = step(job, event)
        started += job.state is JobState.QUEUED and after.state is JobState.PRINTING
        job = after
    assert started <= 1
    assert not job.copy


@given(st.lists(st.sampled_from(JobEvent)))
def test_every_print_but_the_first_is_a_copy_and_counted(events: list[JobEvent]) -> None:
    job, prints = Job("1"), list[int]()
    for event in events:
        after = step(job, event)
        if (job.state, after.state) == (JobState.QUEUED, JobState.PRINTING):
            prints.append(after.copy)
        job = after
    assert prints == list(range(len(prints)))
