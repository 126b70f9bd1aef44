"""Checks the caller's scope for each field. The APIs name the scopes; the check stands before their resolvers.

A missing scope is an error of that field alone. Its resolver is not run, so that no backend is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import GraphQLSchema, get_named_type
from strawberry.schema.name_converter import NameConverter

from app.graphql.context import refusal_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.apis.api import Api
    from app.errors import GatewayError
    from app.graphql.context import Context


def scopes_of(apis: Sequence[Api]) -> dict[str, str]:
    """The scope that each root field needs."""
    return {field: scope for api in apis for field, scope in api.scopes.items()}


def guard(schema: GraphQLSchema, apis: Sequence[Api], roots: Sequence[tuple[type, type]]) -> dict[str, str]:
    """Puts the check before every root field of an API. Returns the scopes by the names of the types read.

    `roots` are the query and mutation types of each API. Raises TypeError for a root field of an API without a scope: a
    forgotten scope must not mean open.
    """
    scopes = scopes_of(apis)
    by_type: dict[str, str] = {}
    for api, (query, mutation) in zip(apis, roots, strict=True):
        for root, owner in ((schema.query_type, query), (schema.mutation_type, mutation)):
            assert root is not None
            for field in owner.__strawberry_definition__.fields:  # type: ignore[attr-defined]
                name = NameConverter().from_field(field)
                if name not in scopes:
                    raise TypeError(f"{api.name}: the root field {name} has no scope")
                root_field = root.fields[name]
                if root is schema.query_type:
                    by_type[get_named_type(root_field.type).name] = scopes[name]
                resolver = getattr(field.base_resolver, "wrapped_func", None)
                root_field.resolve = _guarded(
                    root_field.resolve, scopes[name], reports_lists=tells_long_lists(resolver)
                )
    return by_type


def tells_long_lists(resolver: Any) -> bool:
    """Whether a resolver tells itself what `Context.too_long` holds: a mutation's faults may be data."""
    return getattr(resolver, "tells_long_lists", False)


def root_field_error(context: Context, scope: str | None, key: str, *, reports_lists: bool) -> GatewayError | None:
    """The error of a root field that is not run, by its response key; None for one that is run."""
    missing = None if scope is None else refusal_for(context, scope)
    return missing or (None if reports_lists else context.too_long.get(key))


def _guarded(resolve: Callable[..., Any] | None, scope: str, *, reports_lists: bool) -> Callable[..., Any]:
    assert resolve is not None

    def checked(source: Any, info: Any, /, **arguments: Any) -> Any:
        if (error := root_field_error(info.context, scope, info.path.key, reports_lists=reports_lists)) is not None:
            raise error
        return resolve(source, info, **arguments)

    # A compiled operation calls Strawberry's resolvers itself, and has to make this check first.
    checked.scope = scope  # type: ignore[attr-defined]
    checked.checked = resolve  # type: ignore[attr-defined]
    return checked
