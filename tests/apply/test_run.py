"""A run against gateways that misbehave, on real sockets: what it says of each row, and what it sends again."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from app.apis import APIS
from app.apply.client import Client
from app.apply.results import Result, Results, ResultsError
from app.apply.rows import Row
from app.apply.run import Plan, Run, StoppedError
from app.graphql.bulk_documents import bulks
from tests.harness import schema_of
from tests.upstream.bad_server import BadServer, Exchange, answer, says, unused_port

BULKS = bulks(schema_of(tuple(APIS))._schema)
IDS = [f"50000000-0000-4000-8000-{number:012}" for number in range(130)]
JSON = "content-type: application/json"
HTML = b"<html><h1>Bad Gateway</h1></html>"


def rows(count=2, mutation="patchSupplier"):
    return [Row(line, mutation, {"id": IDS[line], "patch": {"name": "A"}}) for line in range(2, count + 2)]


def reply(status, content, *headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return says(answer(status, body, JSON, *headers))


def fault(reason, code="BAD_USER_INPUT", **members):
    return {"message": f"about {reason}", "code": code, "reason": reason, "inputPath": None, **members}


def results(*outcomes, field="patchSuppliers"):
    """The answer to a bulk. An outcome is its name, or (name, reason, members of the fault)."""
    told = [outcome if isinstance(outcome, tuple) else (outcome, None, {}) for outcome in outcomes]
    items = [
        {"index": index, "outcome": name, "replayed": False, "userErrors": [fault(reason, **more)] if reason else []}
        for index, (name, reason, more) in enumerate(told)
    ]
    return {"data": {field: {"results": items}}}


def errors(reason, outcome=None, *, data=False, code="BAD_REQUEST", path=None):
    extensions = {"code": code, "reason": reason, "requestId": "r"} | ({"outcome": outcome} if outcome else {})
    extensions |= {"input": {"path": path}} if path else {}
    return {"errors": [{"message": f"about {reason}", "extensions": extensions}]} | (
        {"data": {"patchSuppliers": None}} if data else {}
    )


class Scripted(BadServer):
    """Answers in turn, the last one for ever. `sent` holds the variables of each request."""

    def __init__(self, *scripts):
        self.sent = []

        async def script(exchange: Exchange) -> None:
            self.sent.append(json.loads(exchange.body)["variables"])
            await scripts[min(len(self.sent), len(scripts)) - 1](exchange)

        super().__init__(script)

    @property
    def keys(self):
        return [
            [item["idempotencyKey"] for item in variables["items"]] for variables in self.sent if "items" in variables
        ]


async def go(url, file, kept=None, **plan):
    """What the run ended with, the run, the results by line, and how long it waited each time."""
    kept, waits, stopped = kept or Results(), [], None
    with Client(url, None) as client:
        run = Run(Plan(BULKS, **plan), file, kept, client, sleep=waits.append)
        try:
            await asyncio.to_thread(run.go, lambda _: None)
        except StoppedError as error:
            stopped = str(error)
    return stopped, run, {result.line: (result.outcome, result.reason) for result in kept}, waits


REFUSED = {
    "a scope that is missing": (200, errors("SCOPE_MISSING", "NOT_APPLIED", data=True, code="FORBIDDEN"), "SCOPE_MISSING"),
    "a field that is refused": (200, errors("X", "NOT_APPLIED", data=True), "the gateway refused the request: X: about X"),
    "another schema": (200, errors("DOCUMENT_INVALID"), "the gateway refused the request: DOCUMENT_INVALID"),
    "another schema, by status": (400, errors("DOCUMENT_INVALID"), "the gateway refused the request: DOCUMENT_INVALID"),
    "a caller that is unknown": (401, errors("CALLER_TOKEN_INVALID"), "the gateway refused the request: CALLER_TOKEN_INVALID"),
    "no such path": (404, HTML, "answered 404; is it the gateway's GraphQL address?"),
    "a redirect": (307, b"", "answered 307"),
    "keys that are not kept": (
        200,
        results(*[("NOT_APPLIED", "IDEMPOTENCY_NOT_AVAILABLE", {})] * 2),
        "IDEMPOTENCY_NOT_AVAILABLE: about",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_as_a_whole_is_not_asked_again_and_nothing_was_sent(case):
    status, content, expected = REFUSED[case]
    async with Scripted(reply(status, content, "location: /elsewhere")) as server:
        stopped, run, known, waits = await go(server.url, rows())
    assert expected in stopped
    assert (run.began, run.left, known, waits, len(server.sent)) == (False, 0, {}, [], 1)


BUSY = {
    "too many requests": (reply(429, HTML, "retry-after: 7"), [7, 7, 7, 8, 16]),
    "too many requests by a word": (reply(429, HTML, "retry-after: soon"), [1, 2, 4, 8, 16]),
    "overloaded": (reply(503, errors("GATEWAY_OVERLOADED"), "retry-after: 1"), [1, 2, 4, 8, 16]),
    "no item begun": (reply(200, results(*[("NOT_APPLIED", "NOT_BEGUN", {"retryAfterSeconds": 90})] * 2)), [60] * 5),
}


@pytest.mark.parametrize("case", BUSY)
async def test_what_was_not_begun_is_sent_again_for_a_while(case):
    script, expected = BUSY[case]
    async with Scripted(script) as server:
        stopped, run, known, waits = await go(server.url, rows())
        assert (run.began, known, waits, len(server.sent)) == (False, {}, expected, 6)
        assert stopped
        assert len({tuple(keys) for keys in server.keys}) == 1
    async with Scripted(script, reply(200, results("APPLIED", "APPLIED"))) as server:
        stopped, run, known, waits = await go(server.url, rows())
        assert (stopped, known, waits) == (None, {2: ("APPLIED", None), 3: ("APPLIED", None)}, expected[:1])


LOST = {
    "reset": says(b"", then="reset"),
    "closed": says(b"", then="close"),
    "cut off": says(answer(200, b'{"data": ', length=100), then="close"),
    "a proxy's 502": reply(502, HTML),
    "a proxy's 503": reply(503, HTML),
    "a proxy's 504": reply(504, b""),
    "a time-out's 408": reply(408, HTML),
    "a surprise": reply(500, errors("INTERNAL_SERVER_ERROR", "UNKNOWN")),
    "a surprise in the field": reply(200, errors("INTERNAL_SERVER_ERROR", "UNKNOWN", data=True)),
    "a field error without an outcome": reply(200, errors("X", data=True)),
    "a router's null": reply(200, {"data": None, "errors": [{"message": "subgraph failed"}]}),
    "a request error that may have been executed": reply(200, errors("X", "UNKNOWN")),
    "a page": reply(200, HTML),
    "no body": reply(204, b""),
    "null": reply(200, b"null"),
    "a list": reply(200, b"[]"),
    "errors that are none": reply(200, {"errors": "no"}),
    "another field": reply(200, results("APPLIED", "APPLIED", field="patchCustomers")),
    "a result too few": reply(200, results("APPLIED")),
    "a result too many": reply(200, results(*["APPLIED"] * 3)),
    "another order": reply(200, {"data": {"patchSuppliers": {"results": results("APPLIED", "APPLIED")["data"]["patchSuppliers"]["results"][::-1]}}}),
    "another outcome": reply(200, results("APPLIED", "DONE")),
    "no results": reply(200, {"data": {"patchSuppliers": {}}}),
    "no text": reply(200, b"\xff\xfe"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
async def test_what_may_have_been_executed_is_unknown_and_asked_again_under_its_key(case):
    async with Scripted(LOST[case]) as server:
        stopped, run, known, waits = await go(server.url, rows())
        assert stopped
        assert (run.began, set(known.values()), waits, len(server.sent)) == (
            True,
            {("UNKNOWN", None)},
            [1, 2, 4, 8, 16],
            6,
        )
        assert len({tuple(keys) for keys in server.keys}) == 1
    refusal = ("NOT_APPLIED", "VAT_CODE_INVALID", {})
    async with Scripted(LOST[case], reply(200, results("APPLIED", refusal))) as server:
        stopped, run, known, _ = await go(server.url, rows())
        assert (stopped, known) == (None, {2: ("APPLIED", None), 3: refusal[:2]})


SILENT = {
    "not begun": reply(200, results(*[("NOT_APPLIED", "NOT_BEGUN", {})] * 2)),
    "another request under the key": reply(200, results(*[("NOT_APPLIED", "IDEMPOTENCY_KEY_REUSED", {})] * 2)),
    "no journal": reply(200, results(*[("NOT_APPLIED", "IDEMPOTENCY_NOT_AVAILABLE", {})] * 2)),
    "no store": reply(200, results(*[("NOT_APPLIED", "STORE_UNAVAILABLE", {"code": "BACKEND_UNAVAILABLE"})] * 2)),
    "no scope": reply(200, errors("SCOPE_MISSING", "NOT_APPLIED", data=True)),
    "too many requests": reply(429, HTML),
    "refused": reply(401, HTML),
}


@pytest.mark.parametrize("case", SILENT)
async def test_a_refusal_without_a_look_at_the_key_leaves_a_lost_row_unknown(case):
    async with Scripted(LOST["reset"], SILENT[case]) as server:
        _, run, known, _ = await go(server.url, rows())
    assert (run.began, {outcome for outcome, _ in known.values()}) == (True, {"UNKNOWN"})


async def test_a_dry_run_that_is_lost_has_written_nothing():
    async with Scripted(LOST["reset"]) as server:
        stopped, _, known, _ = await go(server.url, rows(), dry_run=True)
        assert (stopped, known) == ("the connection to the gateway was lost: ReadError", {})
        assert all("idempotencyKey" not in item for variables in server.sent for item in variables["items"])


async def test_what_a_dry_run_would_refuse_is_told():
    told = ("NOT_APPLIED", ("NOT_APPLIED", "VAT_CODE_INVALID", {}))
    async with Scripted(reply(200, results(*told))) as server:
        stopped, _, known, _ = await go(server.url, rows(), dry_run=True)
    assert (stopped, known) == (None, {2: ("PREVIEWED", None), 3: ("NOT_APPLIED", "VAT_CODE_INVALID")})


async def test_an_update_in_progress_is_asked_again_alone():
    progress = ("UNKNOWN", "IDEMPOTENT_REQUEST_IN_PROGRESS", {"retryAfterSeconds": 3})
    async with Scripted(reply(200, results("APPLIED", progress)), reply(200, results("APPLIED"))) as server:
        stopped, _, known, waits = await go(server.url, rows())
    assert (stopped, known, waits) == (None, {2: ("APPLIED", None), 3: ("APPLIED", None)}, [3])
    assert server.keys[1] == server.keys[0][1:]


async def test_what_a_bulk_had_no_time_for_goes_with_the_next():
    first = results(*["APPLIED"] * 20, *[("NOT_APPLIED", "NOT_BEGUN", {})] * 30)
    async with Scripted(reply(200, first), reply(200, results(*["APPLIED"] * 50))) as server:
        stopped, _, known, waits = await go(server.url, rows(70))
    assert (stopped, set(known.values()), len(known), waits) == (None, {("APPLIED", None)}, 70, [])
    assert [len(keys) for keys in server.keys] == [50, 50]
    assert server.keys[1][:30] == server.keys[0][20:]


async def test_a_backend_that_is_away_is_not_tried_with_every_row():
    away = ("NOT_APPLIED", "BREAKER_OPEN", {"code": "BACKEND_UNAVAILABLE"})
    async with Scripted(reply(200, results(*[away] * 50))) as server:
        stopped, run, known, _ = await go(server.url, rows(120))
    assert stopped == "all rows of the last request were refused alike, BREAKER_OPEN: about BREAKER_OPEN"
    assert (len(known), len(server.sent), run.left) == (50, 1, 70)


async def test_requests_hold_fifty_rows_of_one_mutation_and_not_too_many_bytes():
    def all_applied(exchange):
        variables = json.loads(exchange.body)
        field = "patchCustomers" if "patchCustomers" in variables["query"] else "patchSuppliers"
        return reply(200, results(*["APPLIED"] * len(variables["variables"]["items"]), field=field))(exchange)

    file = [*rows(60), *rows(5, "patchCustomer"), *rows(1)]
    file = [Row(line, row.mutation, row.item) for line, row in enumerate(file, 2)]
    file += [Row(line, "patchSupplier", {"id": IDS[0], "patch": {"name": "A" * 100_000}}) for line in range(100, 105)]
    async with Scripted(all_applied) as server:
        stopped, _, known, _ = await go(server.url, file)
    assert (stopped, len(known)) == (None, 71)
    assert [len(keys) for keys in server.keys] == [50, 10, 5, 3, 2, 1]


ONE_ITEM = {
    "a list that is too long": errors("LIST_TOO_LONG", "NOT_APPLIED", data=True, path=["items", 1, "patch", "name"]),
    "another schema": errors("VARIABLE_INVALID", path=["items", 1, "patch", "name"]),
}


@pytest.mark.parametrize("case", ONE_ITEM)
async def test_a_row_that_keeps_a_bulk_from_being_begun_is_told_and_the_others_are_sent(case):
    reason = ONE_ITEM[case]["errors"][0]["extensions"]["reason"]
    kept = Results()
    async with Scripted(reply(200, ONE_ITEM[case]), reply(200, results("APPLIED", "APPLIED"))) as server:
        stopped, _, known, waits = await go(server.url, rows(3), kept)
        assert (stopped, waits) == (None, [])
        assert known == {2: ("APPLIED", None), 3: ("NOT_APPLIED", reason), 4: ("APPLIED", None)}
        assert server.keys[1] == [server.keys[0][0], server.keys[0][2]]
    assert (kept.get(3).input_path, kept.get(3).message) == (["patch", "name"], f"about {reason}")
    async with Scripted(LOST["reset"], reply(200, ONE_ITEM[case]), reply(200, results("APPLIED", "APPLIED"))) as server:
        _, _, known, _ = await go(server.url, rows(3))
    assert known == {2: ("APPLIED", None), 3: ("UNKNOWN", None), 4: ("APPLIED", None)}


OTHER_PLACES = [["items"], ["items", 7], ["items", "x"], ["dryRun"], ["items", -1]]


@pytest.mark.parametrize("path", OTHER_PLACES, ids=str)
async def test_a_refusal_at_another_place_is_of_the_request(path):
    async with Scripted(reply(200, errors("X", path=path))) as server:
        stopped, run, known, _ = await go(server.url, rows())
    assert (stopped.endswith("about X"), run.began, known, len(server.sent)) == (True, False, {}, 1)


TOO_LARGE = {
    "items": reply(200, errors("TOO_MANY_ITEMS", "NOT_APPLIED", data=True)),
    "bytes": reply(413, HTML),
    "bytes, by a word": reply(413, errors("BODY_TOO_LARGE")),
}


@pytest.mark.parametrize("case", TOO_LARGE)
async def test_a_gateway_that_takes_less_is_sent_less(case):
    def some(exchange):
        count = len(json.loads(exchange.body)["variables"]["items"])
        return (TOO_LARGE[case] if count > 20 else reply(200, results(*["APPLIED"] * count)))(exchange)

    async with Scripted(some) as server:
        stopped, _, known, _ = await go(server.url, rows(60))
    assert (stopped, len(known)) == (None, 60)
    assert [len(keys) for keys in server.keys] == [50, 25, 12, 12, 12, 12, 12]
    async with Scripted(TOO_LARGE[case]) as server:
        stopped, run, known, _ = await go(server.url, rows(60))
    assert stopped
    assert ([len(keys) for keys in server.keys], run.began, known) == ([50, 25, 12, 6, 3, 1], False, {})


async def test_a_gateway_that_was_never_reached_is_told_at_once():
    stopped, run, known, waits = await go(f"http://127.0.0.1:{unused_port()}", rows())
    assert "cannot be reached: " in stopped
    assert (run.began, known, waits) == (False, {}, [])


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_gateway_that_is_killed_in_the_middle_leaves_unknown_rows_and_unsent_ones(answered):
    # Its very first answer may be the one that is lost.
    server = Scripted(*[reply(200, results(*["APPLIED"] * 50))] * answered, LOST["reset"])
    async with server:
        kept, waits = Results(), []

        def wait(seconds):
            waits.append(seconds)
            asyncio.run_coroutine_threadsafe(server.__aexit__(), loop).result()

        loop = asyncio.get_running_loop()
        with Client(server.url, None) as client:
            run = Run(Plan(BULKS), rows(120), kept, client, sleep=wait)
            with pytest.raises(StoppedError, match="cannot be reached"):
                await asyncio.to_thread(run.go, lambda _: None)
    assert [result.outcome for result in kept] == ["APPLIED"] * 50 * answered + ["UNKNOWN"] * 50
    assert (run.left, waits) == (120 - 50 * answered, [1, 2, 4, 8, 16])


def known_result(line, outcome, *, age=0.0, row=None, reason=None):
    row = row or rows(10)[line - 2]
    key = f"feedfeedfeedfeed-{line}-{row.digest}"
    sent = time.time() - age * 3600
    return Result(line=line, id=IDS[line], outcome=outcome, reason=reason, key=key, sent=sent)


EARLIER = [
    known_result(2, "APPLIED"),
    known_result(3, "NOT_APPLIED", reason="VAT_CODE_INVALID"),
    known_result(4, "UNKNOWN", age=21),
    known_result(5, "UNKNOWN", age=22),
    known_result(6, "UNKNOWN", age=10_000),
]


def resumed(tmp_path, *earlier):
    path = tmp_path / "results"
    with Results.create(path) as results:
        results.put(earlier)
    return Results.resume(path)


@pytest.mark.parametrize("retry_failed", [False, True])
async def test_going_on_skips_asks_looks_up_and_sends(tmp_path, retry_failed):
    entries = [{"outcome": "APPLIED", "code": None, "reason": None}]
    # The first question is whether this gateway knows the keys of applied rows.
    scripts = [reply(200, {"data": {"updates": {"nodes": nodes}}}) for nodes in (entries, entries, [])]
    sent = results(*["APPLIED"] * (3 if retry_failed else 2))
    with resumed(tmp_path, *EARLIER) as kept:
        async with Scripted(*scripts, reply(200, sent)) as server:
            stopped, _, known, _ = await go(server.url, rows(6), kept, retry_failed=retry_failed)
    assert stopped is None
    assert [variables.get("key") for variables in server.sent] == [
        *(EARLIER[position].key for position in (0, 3, 4)),
        None,
    ]
    (keys,) = server.keys
    failed = [keys.pop(0)] if retry_failed else []
    assert keys == [EARLIER[2].key, f"feedfeedfeedfeed-7-{rows(6)[5].digest}"]
    assert all(key.endswith(f"-3-{rows()[1].digest}") and not key.startswith("feed") for key in failed)
    assert known == {
        2: ("APPLIED", None),
        3: ("APPLIED", None) if retry_failed else ("NOT_APPLIED", "VAT_CODE_INVALID"),
        4: ("APPLIED", None),
        5: ("APPLIED", None),
        6: ("UNKNOWN", None),
        7: ("APPLIED", None),
    }


NOTHING_TOLD = {
    "no scope": {"data": {"updates": None}, "errors": [{"message": "no", "extensions": {"reason": "SCOPE_MISSING"}}]},
    "an update that has no end": {"data": {"updates": {"nodes": [{"outcome": None, "code": None, "reason": None}]}}},
    "a null": {"data": {"updates": {"nodes": [None]}}},
    "no entry": {"data": {"updates": {"nodes": []}}},
}


@pytest.mark.parametrize("case", NOTHING_TOLD)
async def test_a_journal_that_does_not_tell_leaves_a_row_unknown(tmp_path, case):
    with resumed(tmp_path, EARLIER[4]) as kept:
        async with Scripted(reply(200, NOTHING_TOLD[case])) as server:
            stopped, _, known, _ = await go(server.url, rows(6)[4:5], kept)
    assert (stopped, known, server.keys) == (None, {6: ("UNKNOWN", None)}, [])


async def test_what_was_refused_once_stays_so_where_it_was_not_begun_again(tmp_path):
    with resumed(tmp_path, EARLIER[1]) as kept:
        async with Scripted(reply(200, results(("NOT_APPLIED", "NOT_BEGUN", {})))) as server:
            stopped, _, known, _ = await go(server.url, rows()[1:], kept, retry_failed=True)
        assert (bool(stopped), known, kept.get(3)) == (True, {3: ("NOT_APPLIED", "VAT_CODE_INVALID")}, EARLIER[1])
        async with Scripted(LOST["reset"]) as server:
            _, _, known, _ = await go(server.url, rows()[1:], kept, retry_failed=True)
        assert known == {3: ("UNKNOWN", None)}


CHANGED = {
    "applied": (EARLIER[0], "line 2 was changed after it was sent, and its outcome is APPLIED"),
    "unknown": (EARLIER[2], "line 4 was changed after it was sent, and its outcome is UNKNOWN"),
    "not in the file": (known_result(9, "APPLIED"), "the results are those of another file"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_file_that_was_changed_where_it_was_sent_is_not_gone_on_with(tmp_path, case):
    earlier, expected = CHANGED[case]
    file = [row._replace(item={**row.item, "patch": {"name": "B"}}) for row in rows(6)]
    with resumed(tmp_path, earlier) as kept, pytest.raises(ResultsError, match=expected):
        Run(Plan(BULKS), file, kept, Client("http://127.0.0.1:9", None))


async def test_a_refused_row_may_be_changed_and_tried_again(tmp_path):
    file = [row._replace(item={**row.item, "patch": {"name": "B"}}) for row in rows(2)[1:]]
    with resumed(tmp_path, EARLIER[1]) as kept:
        async with Scripted(reply(200, results("APPLIED"))) as server:
            _, _, known, _ = await go(server.url, file, kept, retry_failed=True)
    assert known == {3: ("APPLIED", None)}
    assert server.keys[0][0].endswith(f"-3-{file[0].digest}")
