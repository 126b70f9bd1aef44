"""The same request in every wiring: the same data, the same extensions, whatever nonsense stands in it.

Values are put in the place of each argument and of each member of an input, read from the schema, one at a time.
"""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from itertools import islice

import pytest
from graphql import get_named_type, is_input_object_type

from app.apis import APIS
from app.graphql.execution import Engine
from tests.harness import WIRINGS, Gateway, _decode
from tests.harness import gateway as open_gateway
from tests.test_contract import example_of, operation, record_type, root_field, whole

# JSON texts: a number keeps its digits, a member may stand twice.
VALUES = [
    *("null", "true", "0", "-0", "1.5", "0.10", "1E+5", "1e400", "123456789012345678901234567890"),
    *('""', '" "', '"x"', '"NaN"', '"null"', '"True"', '"\\u0000"', '"\\u202eab"', '"\\ufeff"', '"\\r\\n"', '"\\t x "'),
    *('"a:b,{c}[d]\\"e"', '"\\\\"', '"/Date(0)/"', '"@"', '"a@b"', json.dumps("n" * 10_000)),
    *("[]", "[null]", "[[]]", "[{}]", "{}", '{"code":null}', '{"code":""}', '{"code":5}', '{"code":"x","other":1}'),
    *('{"default":true}', '[{"default":true},null]', '[{"default":true,"iban":"","country":{"code":"nl"}}]'),
    *('{"a":"1","a":"2"}', '{"":"x"}', '{" ":"x"}', '{"a":null}', '{"a":1}', '{"é\\u0000":"\\u0000"}'),
    *('{"paymentDays":-1}', '{"paymentDays":2147483648}', '{"paymentDays":7.0}', '{"discountPercentage":-0.0}'),
    *('{"discountPercentage":0.10,"generalLedger":{"code":"4000"}}', '{"discountPercentage":"1e100"}'),
    *('{"discountPercentage":123456789012345678901234567890}', '{"discountPercentage":null}', '{"generalLedger":{}}'),
    *('{"id":1,"value":"x"}', '[{"id":1,"value":"x"},{"id":1,"value":"y"}]', '[{"id":2}]', '{"id":3,"value":"a\\n"}'),
    *('{"accessKeyTypeId":1,"value":"v"}', '{"accessKeyTypeId":9,"value":""}', '{"id":"BA5E0000000040008000000000000001"}'),
    *('"00000000000000000000000000000000"', '"00000000-0000-0000-0000-000000000000"', '"0-0"', '{"invoiceCity":""}'),
    *('{"companyId":"00000000-0000-0000-0000-000000000000"}', '{"companyId":"A0000000000040008000000000000001"}'),
]  # fmt: skip
_MARK = "the value stands here"
# What a store makes up at an update: a moment, ids that are none of its first content's, and the revision of both.
_MADE_UP = re.compile(
    r'(?<=")20[0-9-]{8}T[0-9:.]+Z(?<!2026-01-15T10:00:00Z)|[0-9a-f]{8}-(?!0000-4000-8000)[0-9a-f-]{27}'
    r"|v1:[0-9a-f]{32}"
)


def places(mutation):
    """Each argument, and each member of an argument that is an input."""
    for name, argument in root_field(mutation).args.items():
        yield (name,)
        kind = get_named_type(argument.type)
        if is_input_object_type(kind):
            yield from ((name, member) for member in kind.fields)


def requests(api, mutation):
    """The whole-record operation with each value at each place of the example, as the JSON text of its variables."""
    for place in places(mutation):
        variables = json.loads(json.dumps(example_of(api, mutation)))
        target = variables
        for step in place[:-1]:
            target = target[step]
        target[place[-1]] = _MARK
        text = json.dumps(variables)
        for value in VALUES:
            yield text.replace(f'"{_MARK}"', value)


def document(mutation, given):
    """The given arguments as variables, optional ones too."""
    arguments = {name: argument for name, argument in root_field(mutation).args.items() if name in given}
    declared = ", ".join(f"${name}: {argument.type}" for name, argument in arguments.items())
    required = operation(mutation, whole(record_type(mutation)[1]))
    passed = ", ".join(f"{name}: ${name}" for name in arguments)
    selection = required.partition(f"{mutation}(")[2].partition(") ")[2]
    return f"mutation({declared}) {{ {mutation}({passed}) {selection}"


async def answer(gateway: Gateway, mutation, variables):
    given = _decode(variables.encode())
    body = await gateway.execute(document(mutation, given), given)
    return _MADE_UP.sub("made up", json.dumps(body, default=str))


REST = {"sandbox": {}, "sandbox in JSV": {"GATEWAY_BOKAMERA_FORMAT": "jsv"}}


@pytest.mark.parametrize(
    ("wiring", "step"), [(WIRINGS[1], 36), pytest.param(WIRINGS[2], 1, marks=pytest.mark.slow)], ids=WIRINGS[1:]
)
async def test_any_input_is_answered_alike_in_every_wiring(tmp_path, wiring, step):
    """One of 24 values in process, all of them over a socket."""
    async with AsyncExitStack() as stack:

        async def opened(name, wired, extra):
            (tmp_path / name).mkdir()
            return await stack.enter_async_context(open_gateway(wired, tmp_path / name, APIS, extra))

        local, plain = await opened("local", "local", {}), await opened("plain", "local", {})
        plain.engine = Engine(plain.engine.schema, compiled=False)
        others = [plain, *[await opened(name, wiring, extra) for name, extra in REST.items()]]
        applied = refused = 0
        for api in APIS:
            for mutation in api.mutations:
                for variables in islice(requests(api, mutation), 0, None, step):
                    expected = await answer(local, mutation, variables)
                    assert [await answer(other, mutation, variables) for other in others] == [expected] * 3, variables
                    assert "INTERNAL_SERVER_ERROR" not in expected
                    applied += '"errors"' not in expected
                    refused += '"errors"' in expected
    assert applied > 200 / step
    assert refused > 1000 / step
