"""The file of results: whose it is, and that a stop at any moment leaves one that can be gone on with."""

from __future__ import annotations

import json
import os
import stat
from itertools import accumulate
from pathlib import Path

import pytest

from app.apply.results import Fate, Result, Results, ResultsError

KEY = "0123456789abcdef-2-fedcba9876543210"
FIRST = Result(line=2, id="a", outcome="UNKNOWN", key=KEY).noted(1.5)
SECOND = Result(line=3, id="b", outcome="UNKNOWN", key=KEY).noted(1.5)
APPLIED, REFUSED = (
    Fate(outcome="APPLIED"),
    Fate(outcome="NOT_APPLIED", code="BAD_USER_INPUT", reason="VAT_CODE_INVALID", input_path=["patch", "vatCode"], message="\x1b[2Jé"),
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.ndjson"


def test_one_line_for_each_row_in_their_order_and_for_its_owner_alone(path):
    with Results.create(path) as results:
        results.put([SECOND, FIRST])
        results.put([FIRST.became(APPLIED), SECOND.became(REFUSED)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {
        "line": 2, "id": "a", "outcome": "APPLIED", "code": None, "reason": None, "inputPath": None, "message": None,
        "replayed": False, "key": KEY, "sent": 1.5,
    }  # fmt: skip
    assert (second["reason"], second["inputPath"], second["message"]) == (
        "VAT_CODE_INVALID",
        ["patch", "vatCode"],
        "\x1b[2Jé",
    )
    assert "\x1b" not in path.read_text()
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["file", "folder", "link", "broken link"])
def test_no_other_file_is_written_over(path, kind):
    other = path.with_name("other")
    if kind == "folder":
        path.mkdir()
    elif kind != "file":
        path.symlink_to(other)
    if kind in {"file", "link"}:
        path.write_text("mine")
    with pytest.raises(ResultsError, match=" exists: go on with it by --resume"):
        Results.create(path)
    assert kind == "folder" or not path.exists() or path.read_text() == "mine"


def test_a_file_of_which_nothing_was_sent_is_gone(path):
    with Results.create(path) as results:
        results.put([FIRST])
        results.drop([2])
    assert not path.exists()


def test_a_stop_at_any_byte_leaves_what_was_known(path):
    """A line that a kill cut off is left out; it can be gone on with twice."""
    with Results.create(path) as results:
        results.put([FIRST, SECOND])
        results.put([FIRST.became(APPLIED)])
        content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 3
    ends = {len(line) + shift for line in accumulate(lines) for shift in (-1, 0, 1, 9)}
    for end in sorted({0, 1, *ends, *range(40, len(content), 40)} & set(range(len(content) + 1))):
        path.write_bytes(content[:end])
        resumed = Results.resume(path)
        resumed.put([SECOND])
        os.close(resumed._descriptor)
        with Results.resume(path) as again:
            known = {result.line: result.outcome for result in again}
        whole = content[:end].count(b"\n")
        assert known == ({3: "UNKNOWN"} if whole == 0 else {2: "APPLIED" if whole == 3 else "UNKNOWN", 3: "UNKNOWN"})
        assert path.read_bytes().count(b"\n") == len(known)


FOREIGN = {
    "a text": (b"mine\n", "line 1 is no result of this command"),
    "a text without a line end": (b"mine", "its last line is no result of this command"),
    "other JSON": (b'{"line": 2}\n', "line 1 is no result of this command"),
    "another type": (b'{"line":"2","id":"a","outcome":"APPLIED"}\n', "line 1 is no result of this command"),
    "another outcome": (b'{"line":2,"id":"a","outcome":"DONE"}\n', "line 1 is no result of this command"),
    "a line lost": (b'{"line":2,"id"\n{"line":3,"id":"b","outcome":"APPLIED","key":"k"}\n', "line 1 is no result"),
    "a dry run's": (b'{"line":2,"id":"a","outcome":"PREVIEWED"}\n', "holds the results of a dry run"),
    "bytes": (b"\xff\xfe\n", "line 1 is no result of this command"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_another_file_is_not_gone_on_with_and_stays(path, case):
    content, expected = FOREIGN[case]
    path.write_bytes(content)
    with pytest.raises(ResultsError, match=expected):
        Results.resume(path)
    assert path.read_bytes() == content


def test_a_file_that_is_not_there_or_in_use_is_not_gone_on_with(path):
    with pytest.raises(ResultsError, match="cannot be gone on with: No such file"):
        Results.resume(path)
    with Results.create(path) as results:
        results.put([FIRST])
        with pytest.raises(ResultsError, match="is in use by another run"):
            Results.resume(path)
    with Results.resume(path) as resumed:
        assert resumed.get(2) == FIRST


def test_a_link_to_it_stays_one(path, tmp_path):
    link = tmp_path / "link"
    with Results.create(path) as results:
        results.put([FIRST])
    link.symlink_to(path)
    with Results.resume(link) as resumed:
        resumed.put([FIRST.became(APPLIED)])
    assert link.is_symlink()
    assert json.loads(path.read_text())["outcome"] == "APPLIED"


def test_a_folder_that_takes_no_file_is_told(tmp_path):
    with pytest.raises(ResultsError, match="cannot be written: No such file or directory"):
        Results.create(tmp_path / "none" / "results")


def test_a_full_disk_is_told_in_a_line():
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(ResultsError, match="/dev/full cannot be written: No space left on device"):
        Results(Path("/dev/full"), full).put([FIRST])
    os.close(full)
