"""A resource's fields of the schema's roots, its payload and its entity: the GraphQL side of the seam, written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET, Info

from app.errors import GatewayError, GatewayErrors
from app.mapping.scalars import UUID
from app.updates.change import Change
from app.updates.connections import AFTER, CHANGING, DEFAULT_PAGE, FIRST, connection, connection_types
from app.updates.preview import UpdatePreview, preview
from app.updates.reading import backend_of, read_record
from app.updates.resource import Argument
from app.updates.run import update
from app.updates.user_errors import as_data, capped, wanted

if TYPE_CHECKING:
    from app.updates.listing import Listing
    from app.updates.resource import Options, Resource
    from app.updates.user_errors import UserErrors

_NONE = inspect.Parameter.empty
_USER_ERRORS = (
    "What went wrong with this update. Where it is selected, these faults are here and not in the response's `errors`."
)
_REPLAYED = "True where the idempotency key was used before: this is what became of that update; nothing was sent now."
_PREVIEW = "With `dryRun`: what would be sent and what would change. Otherwise null."
_PATCH = "What is to change. A member that is left out stays, null clears it; a list is replaced whole."
_GUARDS = (
    Argument(
        name="expected_revision",
        type=str | None,
        description="`revision` of the record that the change was decided on. The record is read first, and nothing is "
        "sent where it is another by now. Over REST a moment remains between that read and the update, since the "
        "vendor has no condition.",
    ),
    Argument(
        name="dry_run",
        type=bool,
        description="True writes nothing and answers `preview`: what would be sent, and what would change.",
        default=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """An API's part of a schema's roots, made for each schema. `scopes` names what a caller needs for each field.

    `listings` are its lists, in their order.
    """

    query: Callable[[], type]
    mutation: Callable[[UserErrors], type]
    mutations: tuple[str, ...]
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
                **{_snake(item.name): _query(item) for item in resources},
                **{_snake(item.name): _list(item) for item in listings},
            },
        ),
        mutation=lambda errors: _root("Mutation", _mutations(resources, errors)),
        mutations=tuple(name for item in resources for name in item.mutations),
        scopes={
            **{name: f"{item.scope}:write" for item in resources for name in item.mutations},
            **{item.name: f"{item.scope}:read" for item in resources},
            **{item.name: f"{item.scope}:read" for item in listings},
        },
        listings=listings,
    )


def _mutations(resources: Sequence[Resource], errors: UserErrors) -> dict[str, Any]:
    fields = {}
    for resource in resources:
        payload = _payload(resource, errors)
        fields[_snake(resource.mutation)] = _mutation(resource, payload, errors, patches=False)
        if resource.patch is not None:
            fields[_snake(resource.patch.mutation)] = _mutation(resource, payload, errors, patches=True)
    return fields


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _root(name: str, fields: Mapping[str, Any]) -> type:
    return strawberry.type(type(name, (), dict(fields)))


def _query(resource: Resource) -> Any:
    async def read(info: Info, id: str, **arguments: Any) -> Any:  # noqa: A002 - the argument's name
        backend = backend_of(info, resource.api)
        return await read_record(resource, backend, info.context.call, id, _options(arguments))

    assert resource.texts is not None
    arguments = [_id(resource), *(_parameter(item) for item in resource.arguments if item.of_reads)]
    return _field(strawberry.field, read, arguments, resource.record, resource.texts.query)


def _list(listing: Listing) -> Any:
    async def page(info: Info, first: int = DEFAULT_PAGE, after: Any = UNSET, **arguments: Any) -> Any:
        return await connection(listing, info, first, None if after is UNSET else after, _options(arguments))

    parameters = [
        *(_parameter(item) for item in listing.arguments),
        _named("first", FIRST, DEFAULT_PAGE),
        _named("after", AFTER, UNSET),
    ]
    return _field(strawberry.field, page, parameters, connection_types(listing)[0], listing.description + CHANGING)


def _mutation(resource: Resource, payload: Any, errors: UserErrors, *, patches: bool) -> Any:
    field = _snake(resource.name)

    async def answered(info: Info, change: Change) -> Any:
        context = info.context
        if change.patches or change.dry_run or change.expected_revision is not None:
            context.demand(f"{resource.scope}:read")
        if (too_long := context.too_long.get(info.path.key)) is not None:
            raise too_long
        if change.dry_run:
            return payload(preview=await preview(resource, info, change))
        record, replayed = await update(resource, info, change, key=context.call.idempotency_key)
        if not as_data(record) or not wanted(info):
            return payload(**{field: record, "replayed": replayed})
        raise record

    async def change(
        info: Info,
        id: str,  # noqa: A002 - the argument's name
        input: Any = None,  # noqa: A002 - the argument's name
        patch: Any = None,
        expected_revision: Any = None,
        dry_run: bool = False,
        **arguments: Any,
    ) -> Any:
        change = Change(
            id=id,
            input=patch if patches else input,
            options=_options(arguments),
            expected_revision=None if expected_revision is UNSET else expected_revision,
            dry_run=dry_run,
            patches=patches,
        )
        try:
            return await answered(info, change)
        except (GatewayError, GatewayErrors) as failure:
            faults = as_data(failure)
            if faults is None or not wanted(info):
                raise
            faults = tuple(capped(faults))
            info.context.faults_as_data += [(info.path, fault) for fault in faults]
            replayed = any(fault.replayed for fault in faults)
            return payload(user_errors=errors.shown(faults, info.context.call.request_id), replayed=replayed)

    change.tells_long_lists = True  # type: ignore[attr-defined]  # the guard of every root field leaves it to this one
    texts = resource.texts
    assert texts is not None
    before = [_parameter(item) for item in resource.arguments if item.before_input]
    after = [_parameter(item) for item in resource.arguments if not item.before_input]
    if patches:
        assert resource.patch is not None
        values = _named("patch", Annotated[resource.patch.input, strawberry.argument(description=_PATCH)])
        text = resource.patch.description
    else:
        values = _named("input", Annotated[resource.input, strawberry.argument(description=texts.input)])
        text = texts.mutation
    arguments = [_id(resource), *before, values, *after, *map(_parameter, _GUARDS)]
    return _field(strawberry.mutation, change, arguments, payload, text)


def _options(arguments: Mapping[str, Any]) -> Options:
    return {name: value for name, value in arguments.items() if value is not None and value is not UNSET}


def _payload(resource: Resource, errors: UserErrors) -> Any:
    """The mutation's own type. An exception in place of the record is the error of that field."""
    texts = resource.texts
    assert texts is not None
    name, field = resource.mutation[0].upper() + resource.mutation[1:] + "Payload", _snake(resource.name)
    members = {
        "__annotations__": {
            field: resource.record | None,
            "user_errors": list[errors.type],  # type: ignore[name-defined]
            "replayed": bool,
            "preview": UpdatePreview | None,
        },
        field: strawberry.field(default=None, description=texts.record),
        "user_errors": strawberry.field(default_factory=list, description=_USER_ERRORS),
        "replayed": strawberry.field(default=False, description=_REPLAYED),
        "preview": strawberry.field(default=None, description=_PREVIEW),
    }
    return strawberry.type(type(name, (), members), description=texts.payload)


def _field(
    kind: Callable[..., Any], resolver: Callable[..., Any], parameters: Sequence[inspect.Parameter], of: Any, text: str
) -> Any:
    """A nullable field whose resolver shows the given parameters as its own."""
    shown: Any = resolver
    shown.__signature__ = inspect.Signature([_named("info", Info), *parameters], return_annotation=of | None)
    shown.__annotations__ = {item.name: item.annotation for item in parameters} | {"info": Info, "return": of | None}
    return kind(resolver=shown, description=text)


def _id(resource: Resource) -> inspect.Parameter:
    assert resource.texts is not None
    return _named("id", Annotated[UUID, strawberry.argument(description=resource.texts.id)])


def _parameter(argument: Argument) -> inspect.Parameter:
    type_: Any = argument.type
    annotation: Any = Annotated[type_, strawberry.argument(description=argument.description)]
    return _named(argument.name, annotation, argument.default)


def _named(name: str, annotation: Any, default: Any = _NONE) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _resolve_reference(resource: Resource) -> Callable[..., Any]:
    async def resolve_reference(_cls: type, info: Info, id: str) -> Any:  # noqa: A002 - the key's name
        return await read_record(resource, backend_of(info, resource.api), info.context.call, id, {})

    return resolve_reference
