"""The library's rows, in both directions, and a sample of its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.apis.library.errors import ROWS, TITLE_TAKEN
from app.apis.library.resources import BOOKS
from app.upstream.messages import BackendResponse

SAMPLES = Path(__file__).parent / "samples" / "update-book"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_a_row_is_recognised_in_its_own_answer(row):
    body = f'{{"code": "{row.vendor_code}", "message": "{row.text}"}}'.encode()
    assert BOOKS.error(BackendResponse(row.http_status, {}, body)).row is row


def test_the_sample_is_recognised():
    answer = BackendResponse(409, {}, (SAMPLES / "409-title-taken.json").read_bytes())
    assert BOOKS.error(answer).row is TITLE_TAKEN
