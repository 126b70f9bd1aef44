"""A gateway that ends like a process that is killed: `dying.py POINT`, with settings and variables as JSON at stdin.

Sends one update and prints its answer, unless it comes to its point first.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from app.apis import APIS
from app.bootstrap import Backends
from app.call import CallContext
from app.config import parse_settings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.graphql.schema import build_schema
from app.journal.journal import Journal
from app.updates.reading import Closing


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class BeforeTheIntent(Journal):
    async def begin(self, *_):
        die()


class AfterTheIntent(Journal):
    async def begin(self, *given):
        await super().begin(*given)
        die()


class AfterTheAnswer(Journal):
    def end(self, *_, **__):
        die()


async def during_closing(_closing, _entry):
    die()


async def main(point, settings, document, variables, key):
    if point == "DuringClosing":
        Closing.prove = during_closing
    backends = Backends(parse_settings(APIS, settings))
    await backends.open()
    journal = backends.recorder.journal
    kinds = {kind.__name__: kind for kind in Journal.__subclasses__()}
    if point in kinds:
        journal.__class__ = kinds[point]
    if point == "DuringClosing":
        await asyncio.Event().wait()  # the keeper comes to it
    engine = Engine(build_schema(APIS))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    deadline = asyncio.get_running_loop().time() + float(settings["GATEWAY_BACKEND_SECONDS"])
    call = CallContext("killed", deadline=deadline, idempotency_key=key)
    context = Context(call, backends.by_name, recorder=backends.recorder)
    result = await engine.execute(GraphQLRequest(document, variables), context)
    sys.stdout.write(json.dumps(result.body()) + "\n")
    sys.stdout.flush()
    await backends.aclose()


asyncio.run(main(sys.argv[1], *json.load(sys.stdin)))
