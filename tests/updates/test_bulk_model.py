"""A bulk's order for any records, failures and times: what may begin, in which order, how much of it at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from app.errors import NOT_BEGUN, RATE_LIMITED, GatewayError, Outcome
from app.notes import Notes
from app.updates.bulk import BulkRun, Item

MOST = 16
places = st.integers(0, MOST - 1)


def lowest(records: list[str], begun: set[int], ended: set[int]) -> int:
    """The first item that has not begun and whose record is free."""
    return min(
        place
        for place, record in enumerate(records)
        if place not in begun and all(other in ended for other in range(place) if records[other] == record)
    )


@given(
    records=st.lists(st.sampled_from("abcd"), max_size=MOST),
    turns=st.lists(st.integers(0, 3), min_size=MOST, max_size=MOST),
    failing=st.sets(places, max_size=4),
    at_once=st.integers(1, 5),
    stops=st.booleans(),
)
def test_a_bulk_keeps_its_order_and_its_bounds(
    records: list[str], turns: list[int], failing: set[int], at_once: int, stops: bool
) -> None:
    begun: set[int] = set()
    ended: set[int] = set()
    failed: set[int] = set()

    async def update(item: Item) -> tuple[Any, bool]:
        assert item.index == lowest(records, begun, ended)
        assert not (stops and failed)
        begun.add(item.index)
        assert len(begun - ended) <= at_once
        for _ in range(turns[item.index]):
            await asyncio.sleep(0)
        ended.add(item.index)
        if item.index in failing:
            failed.add(item.index)
            raise GatewayError(RATE_LIMITED)
        return "record", False

    items = [
        Item(place, cast("Any", SimpleNamespace(id=record, dry_run=False))) for place, record in enumerate(records)
    ]

    async def run() -> None:
        await BulkRun("updates", items, update, Notes, None).run(asyncio.Semaphore(at_once), at_once, stops=stops)

    asyncio.run(run())
    assert begun == ended
    assert stops or begun == set(range(len(records)))
    for item in items:
        if item.index in failed:
            assert item.outcome is Outcome.NOT_APPLIED
        elif item.index in ended:
            assert (item.outcome, item.record) == (Outcome.APPLIED, "record")
        else:
            assert [fault.row for fault in item.errors] == [NOT_BEGUN]
