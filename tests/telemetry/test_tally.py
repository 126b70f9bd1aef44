"""What is added up and carried over is what prometheus-client would have counted, one by one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app.telemetry.tally import TalliedHistogram, Tally

BUCKETS = (0.5, 1.0, 2.5)
VALUES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 4.0])  # sums of these are exact


@given(st.lists(st.lists(st.tuples(st.sampled_from(["a", "b"]), VALUES))))
def test_many_at_once_are_what_each_by_itself_is(rounds: list[list[tuple[str, float]]]):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally(lambda: None, shared=False)
    seconds = tally.histogram(TalliedHistogram("s", "t", ("l",), registry=ours, buckets=BUCKETS), BUCKETS)
    count = Counter("c", "t", ("l",), registry=ours)
    their_seconds = Histogram("s", "t", ("l",), registry=theirs, buckets=BUCKETS)
    their_count = Counter("c", "t", ("l",), registry=theirs)
    for observed in rounds:
        for label, value in observed:
            tally.observe(seconds, value, label)
            tally.count(count, label)
            their_seconds.labels(label).observe(value)
            their_count.labels(label).inc()
        tally.carry_over()
        # The series stand in the order in which they were first met; here in that of their labels.
        assert sorted(generate_latest(ours).splitlines()) == sorted(generate_latest(theirs).splitlines())


async def test_what_other_processes_show_is_carried_over_by_itself():
    registry = CollectorRegistry()
    count = Counter("c", "t", ("l",), registry=registry)
    looked = []
    tally = Tally(lambda: looked.append(tally.count(count, "a")), shared=True)
    for _ in range(3):
        tally.count(count, "a")
    assert registry.get_sample_value("c_total", {"l": "a"}) == 0
    while not looked:
        await asyncio.sleep(0.01)
    # What is only counted while it is carried over is in it.
    assert registry.get_sample_value("c_total", {"l": "a"}) == 4
    assert len(looked) == 1


async def test_a_look_that_fails_once_ends_nothing():
    registry = CollectorRegistry()
    count = Counter("c", "t", ("l",), registry=registry)
    failing = [True]

    def look() -> None:
        if failing.pop() if failing else False:
            raise ZeroDivisionError

    tally = Tally(look, shared=True)
    with pytest.raises(ZeroDivisionError):
        tally.carry_over()
    tally.count(count, "a")
    while not registry.get_sample_value("c_total", {"l": "a"}):
        await asyncio.sleep(0.01)
    assert registry.get_sample_value("c_total", {"l": "a"}) == 1
