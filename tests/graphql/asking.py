"""One operation asked of the notebook's schema, with what came back and what the backend was asked."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from app.call import CallContext
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest, Result
from app.graphql.schema import Schema, build_schema
from tests.graphql.notebook import API, FIRST, LocalNotebook
from tests.switch import COMPILED

UPDATE = (
    f'mutation Change($input: UpdateNoteInput!) {{ updateNote(id: "{FIRST}", input: $input) {{ note {{ title }} }} }}'
)


@functools.cache
def schema() -> Schema:
    return build_schema([API])


@dataclass
class Asked:
    result: Result
    notebook: LocalNotebook

    @property
    def body(self) -> dict[str, Any]:
        return self.result.body()

    @property
    def errors(self) -> list[dict[str, Any]]:
        return self.result.errors

    @property
    def reasons(self) -> list[str]:
        return [error["extensions"]["reason"] for error in self.result.errors]


async def ask(
    query: str | None,
    variables: dict[str, Any] | None = None,
    *,
    engine: Engine | None = None,
    notebook: LocalNotebook | None = None,
    trusted_router: bool = False,
    **more: Any,
) -> Asked:
    engine = engine or Engine(schema(), compiled=COMPILED)
    notebook = notebook or LocalNotebook()
    context = Context(CallContext("request-1"), {"notebook": notebook}, trusted_router=trusted_router)
    result = await engine.execute(GraphQLRequest(query, variables or {}, **more), context)
    for error in result.errors:
        assert error["extensions"]["requestId"] == "request-1"
        assert "http" not in error["extensions"]
        assert None not in error["extensions"].values()
    return Asked(result, notebook)
