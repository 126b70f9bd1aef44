"""The scalars of the schema, as a backend's answer and a client's input reach them."""

from __future__ import annotations

import pytest

from app.mapping.scalars import parse_datetime

MOMENTS = {
    "2026-01-15T10:00:00Z": "2026-01-15T10:00:00Z",
    "2026-09-07T09:00:00+02:00": "2026-09-07T09:00:00+02:00",
    "2014-09-30T13:51:35.4928649Z": "2014-09-30T13:51:35.4928649Z",
    "2014-09-30T13:51:35.4928649": "2014-09-30T13:51:35.4928649Z",
    "2026-01-15T10:00:00": "2026-01-15T10:00:00Z",
    "2026-01-15": "2026-01-15T00:00:00Z",
    "2026-01-15 10:00:00": "2026-01-15T10:00:00Z",
    "2026-01-15T10:00Z": "2026-01-15T10:00:00Z",
    "20260115T100000+0200": "2026-01-15T10:00:00+02:00",
    "2026-W03-4": "2026-01-15T00:00:00Z",
    "/Date(0)/": "1970-01-01T00:00:00Z",
    "/Date(1234567890123+0200)/": "2009-02-13T23:31:30.123000Z",
    "/Date(-1+0000)/": "1969-12-31T23:59:59.999000Z",
}


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items(), ids=MOMENTS)
def test_any_form_of_a_moment_is_answered_as_iso_8601_with_an_offset(text, moment):
    assert parse_datetime(text) == moment
    assert parse_datetime(moment) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "10:00",
        "2026-13-01",
        "/Date(x)/",
        "/Date(999999999999999)/",
        "2026-01-15T10:00:00+00:00:30",
        "2026-01-15T10:00:00-02:00:30",
        0,
        None,
        True,
    ],
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match="not a DateTime"):
        parse_datetime(text)
