"""A resource's root fields, its payload and its entity: the GraphQL side of `Resource`, written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql.pyutils import camel_to_snake
from strawberry import UNSET, Info
from strawberry.utils.str_converters import capitalize_first

from app.errors import GatewayFailure
from app.mapping.selection import Selected, selection_of
from app.updates.bulk_fields import bulk_field, bulk_payload
from app.updates.change import Change
from app.updates.connections import AFTER, CHANGING, DEFAULT_PAGE, FIRST, connection, connection_types, object_type
from app.updates.fields import (
    change_of,
    id_argument,
    named,
    options,
    parameter,
    root_field,
    update_arguments,
    update_text,
)
from app.updates.listing import Listing
from app.updates.preview import UpdatePreview, preview
from app.updates.reading import backend_of, read_record
from app.updates.resource import Resource
from app.updates.run import update
from app.updates.user_errors import UserErrors, as_data, capped, selects_errors

_USER_ERRORS = (
    "What went wrong with this update. Where it is selected, these faults are here and not in the response's `errors`."
)
_REPLAYED = "True where the idempotency key was used before: this is what became of that update; nothing was sent now."
_PREVIEW = "With `dryRun`: what would be sent and what would change. Otherwise null."


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """An API's part of a schema's roots, created for each schema. `scopes` names each field's scope.

    `bulks` are its mutations of many records, `listings` its lists, in their order.
    """

    query: Callable[[], type]
    mutation: Callable[[UserErrors], type]
    mutations: tuple[str, ...]
    bulks: tuple[str, ...] = ()
    scopes: Mapping[str, str]
    listings: Sequence[Listing] = ()


def roots_of(*resources: Resource, listings: Sequence[Listing] = ()) -> Roots:
    """The roots of an API's resources and lists, in their order; each record gets its `resolve_reference`."""
    for resource in resources:
        resource.record.resolve_reference = classmethod(_resolve_reference(resource))  # type: ignore[attr-defined]
    return Roots(
        query=lambda: _root(
            "Query",
            {
                **{camel_to_snake(item.name): _query(item) for item in resources},
                **{camel_to_snake(item.name): _list(item) for item in listings},
            },
        ),
        mutation=lambda errors: _root("Mutation", _mutations(resources, errors)),
        mutations=tuple(name for item in resources for name in item.mutations),
        bulks=tuple(name for item in resources for name in item.bulks),
        scopes={
            **{name: f"{item.scope}:write" for item in resources for name in (*item.mutations, *item.bulks)},
            **{item.name: f"{item.scope}:read" for item in resources},
            **{item.name: f"{item.scope}:read" for item in listings},
        },
        listings=listings,
    )


def _mutations(resources: Sequence[Resource], errors: UserErrors) -> dict[str, Any]:
    fields = {}
    for resource in resources:
        payload, payload_of_many = _payload(resource, errors), bulk_payload(resource, errors)
        for mutation, bulk in zip(resource.mutations, resource.bulks, strict=True):
            patches = mutation != resource.mutation
            fields[camel_to_snake(mutation)] = _mutation(resource, payload, errors, patches=patches)
            fields[camel_to_snake(bulk)] = bulk_field(resource, payload_of_many, errors, patches=patches)
    return fields


def _root(name: str, fields: Mapping[str, Any]) -> type:
    return strawberry.type(type(name, (), dict(fields)))


def _query(resource: Resource) -> Any:
    async def read(info: Info, id: str, **arguments: Any) -> Any:  # noqa: A002 - the argument's name
        backend = backend_of(info, resource.api)
        return await read_record(resource, backend, info.context.call, id, options(arguments))

    arguments = [id_argument(resource), *(item for item in resource.arguments if item.of_reads)]
    return root_field(strawberry.field, read, map(parameter, arguments), resource.record, resource.texts.query)


def _list(listing: Listing) -> Any:
    async def page(info: Info, first: int = DEFAULT_PAGE, after: Any = UNSET, **arguments: Any) -> Any:
        return await connection(listing, info, first, None if after is UNSET else after, options(arguments))

    parameters = [
        *(parameter(item) for item in listing.arguments),
        named("first", FIRST, DEFAULT_PAGE),
        named("after", AFTER, UNSET),
    ]
    return root_field(strawberry.field, page, parameters, connection_types(listing)[0], listing.description + CHANGING)


def _mutation(resource: Resource, payload: Any, errors: UserErrors, *, patches: bool) -> Any:
    record_member = camel_to_snake(resource.name)

    async def answered(info: Info, context: Any, change: Change, selected: Selected) -> Any:
        if change.patches or change.dry_run or change.expected_revision is not None:
            context.demand(f"{resource.scope}:read")
        if context.too_long and (too_long := context.too_long.get(info.path.key)) is not None:
            raise too_long
        if change.dry_run:
            previewed = payload(preview=await preview(resource, info, change, selected))
            context.previews.append(info.path.key)
            return previewed
        record, replayed = await update(resource, info, change, selected, key=context.call.idempotency_key)
        if isinstance(record, Exception) and as_data(record) and selects_errors(selected):
            raise record
        return payload(**{record_member: record}, replayed=replayed)

    async def change(info: Info, **arguments: Any) -> Any:
        change = change_of(patches, **arguments)
        selected = selection_of(info._raw_info)  # noqa: SLF001 - Strawberry's Info hides the fragments
        try:
            return await answered(info, info.context, change, selected)
        except GatewayFailure as failure:
            # Without a selection no variable holds the errors, see `run.py`.
            if not selects_errors(selected) or (shown := as_data(failure)) is None:
                raise
            shown = tuple(capped(shown))
            info.context.errors_as_data += [(info.path, error) for error in shown]
            replayed = any(error.replayed for error in shown)
            return payload(user_errors=errors.shown(shown, info.context.call.request_id), replayed=replayed)

    change.tells_long_lists = True  # type: ignore[attr-defined]  # the guard of every root field leaves it to this one
    arguments = [parameter(item) for item in update_arguments(resource, patches=patches)]
    return root_field(strawberry.mutation, change, arguments, payload, update_text(resource, patches=patches))


def _payload(resource: Resource, errors: UserErrors) -> Any:
    """The mutation's own type. An exception in the record's place is the error of that field."""
    texts = resource.texts
    members: dict[str, Any] = {
        camel_to_snake(resource.name): (resource.record | None, texts.record, {"default": None}),
        "user_errors": (list[errors.type], _USER_ERRORS, {"default_factory": list}),  # type: ignore[name-defined]
        "replayed": (bool, _REPLAYED, {"default": False}),
        "preview": (UpdatePreview | None, _PREVIEW, {"default": None}),
    }
    return object_type(f"{capitalize_first(resource.mutation)}Payload", texts.payload, **members)


def _resolve_reference(resource: Resource) -> Callable[..., Any]:
    async def resolve_reference(_cls: type, info: Info, id: str) -> Any:  # noqa: A002 - the key's name
        return await read_record(resource, backend_of(info, resource.api), info.context.call, id, {})

    return resolve_reference
