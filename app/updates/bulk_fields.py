"""The bulk fields of the schema: the item's type, the result's type and the field, made from the resource."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Annotated, Any

import strawberry
from graphql.pyutils import camel_to_snake
from strawberry import UNSET, Info
from strawberry.utils.str_converters import capitalize_first

from app.errors import Outcome
from app.mapping.scalars import UUID
from app.mapping.selection import Selected, selection_of
from app.updates.bulk import Bulk, BulkRun, Item, refuse_repeated
from app.updates.connections import object_type
from app.updates.fields import REQUIRED, change_of, named, root_field, update_arguments, update_text
from app.updates.preview import UpdatePreview, preview
from app.updates.resource import Argument, Resource, plural
from app.updates.run import update
from app.updates.user_errors import UserErrors, selects_errors

RESULTS = "results"
_NOTHING = Selected()

_FIELD = (
    "Runs `{mutation}` for each item. Items of one record run one after another in their order, others several at a "
    "time (GATEWAY_BULK_CONCURRENCY, 8), and the fault of one ends no other, unless `onFailure` says so. All or "
    "nothing is not promised: no backend has it. "
)
_ITEMS = "What is to be updated: at most GATEWAY_MAX_BULK, 500, in all bulk fields of the request together."
_ON_FAILURE = "What a failed item means for those that are not begun yet."
_DRY_RUN = "True writes nothing and answers a `preview` for each item."
_USER_ERRORS = (
    "What went wrong with this item. Where it is not selected, these faults are in the response's `errors`, "
    "at the item's place."
)
_KEY = Argument(
    name="idempotency_key",
    type=str | None,
    description="1 to 255 printable characters that stand for this item: the same again under the key is not sent "
    "again. Two items of a bulk cannot have the same.",
)
_COUNTS = {
    "applied": (Outcome.APPLIED, "How many items were applied."),
    "not_applied": (Outcome.NOT_APPLIED, "How many items were certainly not applied, those of a dry run aside."),
    "unknown": (Outcome.UNKNOWN, "How many items have an unknown outcome."),
}


class _OnFailure(Enum):
    CONTINUE = strawberry.enum_value("CONTINUE", description="They are begun all the same.")
    STOP = strawberry.enum_value("STOP", description="None of them is begun; those in flight end.")


OnFailure: Any = strawberry.enum(
    _OnFailure,
    name="OnFailure",
    description="What a bulk does after an item has failed: an outcome other than APPLIED.",
)


def bulk_payload(resource: Resource, errors: UserErrors) -> tuple[Any, Any]:
    """The payload's type, and the type of an item's result. An update and its patch share them."""
    members: dict[str, tuple[Any, str]] = {
        "index": (int, "Position of the item, from 0."),
        "id": (UUID, "Id of the item's record."),
        "outcome": (errors.enums.outcome, "Whether the item's write happened; of a dry run it did not."),
        "replayed": (
            bool,
            "True where the item's idempotency key was used before: this is what became of that update.",
        ),
        camel_to_snake(resource.name): (resource.record | None, resource.texts.record),
        "preview": (UpdatePreview | None, "With `dryRun`: what would be sent and what would change. Otherwise null."),
        "user_errors": (list[errors.type], _USER_ERRORS),  # type: ignore[name-defined]
    }
    result: Any = object_type(
        f"{capitalize_first(resource.mutation)}Result", "What became of one item of a bulk.", **members
    )
    payload = object_type(
        f"{capitalize_first(plural(resource.mutation))}Payload",
        "What became of the items of a bulk.",
        results=(list[result], "One for each item, in their order."),
        **{name: (int, text) for name, (_, text) in _COUNTS.items()},
        previewed=(int, "How many items were previewed: with `dryRun`, nothing was written."),
    )
    return payload, result


def _item_type(mutation: str, arguments: Sequence[Argument]) -> Any:
    annotations = {item.name: item.type for item in arguments}
    fields = {
        item.name: strawberry.field(description=item.description)
        if item.default is REQUIRED
        else strawberry.field(default=item.default, description=item.description)
        for item in arguments
    }
    item_type = type(f"{capitalize_first(mutation)}Item", (), {"__annotations__": annotations, **fields})
    return strawberry.input(
        item_type, description=f"One item of a bulk: what `{mutation}` takes, and a key of its own."
    )


def bulk_field(resource: Resource, types: tuple[Any, Any], errors: UserErrors, *, patches: bool) -> Any:
    payload, result = types
    mutation = resource.mutations[patches]
    arguments = [item for item in update_arguments(resource, patches=patches) if item.name != "dry_run"]
    record, read_scope = camel_to_snake(resource.name), f"{resource.scope}:read"

    def item_of(index: int, written: Any, *, dry_run: bool) -> Item:
        arguments = dict(vars(written))
        key = arguments.pop(_KEY.name)
        return Item(index, change_of(patches, dry_run=dry_run, **arguments), None if key is UNSET else key)

    def result_of(item: Item, request_id: str, *, as_data: bool) -> Any:
        return result(
            index=item.index,
            id=item.change.id,
            outcome=errors.enums.outcome[item.outcome.value],
            replayed=item.replayed,
            preview=item.preview,
            user_errors=errors.shown(item.errors, request_id) if as_data and item.errors else [],
            **{record: item.record},
        )

    async def many(info: Info, items: list[Any], on_failure: Any, dry_run: bool) -> Any:
        context, call = info.context, info.context.call
        if patches or dry_run:
            context.demand(read_scope)
        parsed = [item_of(index, written, dry_run=dry_run) for index, written in enumerate(items)]
        refuse_repeated(parsed)
        selected = selection_of(info._raw_info)  # noqa: SLF001 - Strawberry's Info hides the fragments
        below = selected.fields.get(RESULTS, _NOTHING)

        async def one(item: Item) -> tuple[Any, bool]:
            if item.change.expected_revision is not None:
                context.demand(read_scope)
            if dry_run:
                return await preview(resource, info, item.change, below), False
            return await update(resource, info, item.change, below, key=item.key, position=item.index)

        rooms = context.rooms
        # No item begins in the time that a write leaves for its read-back: it could only end as unknown.
        deadline = call.for_write(asyncio.get_running_loop().time()).deadline
        run = BulkRun(mutation, parsed, one, partial(rooms.begin_notes, call.request_id), deadline, rooms.stopping)
        await run.run(rooms.of(resource.api), rooms.at_once, stops=on_failure.value == _OnFailure.STOP.value)
        as_data, key = selects_errors(below), str(info.path.key)
        context.bulks[key] = Bulk(
            mutation,
            resource.api,
            parsed,
            path=(key, below.key or RESULTS),
            record_key=below.fields.get(resource.name, _NOTHING).key or resource.name,
            nodes=None if as_data else info._raw_info.field_nodes,  # noqa: SLF001 - Strawberry's only handle on the nodes
        )
        counts = dict.fromkeys(Outcome, 0)
        for item in parsed:
            if item.preview is None:
                counts[item.outcome] += 1
        return payload(
            results=[result_of(item, call.request_id, as_data=as_data) for item in parsed],
            previewed=len(parsed) - sum(counts.values()),
            **{name: counts[outcome] for name, (outcome, _) in _COUNTS.items()},
        )

    item_type: Any = _item_type(mutation, [*arguments, _KEY])
    parameters = [
        named("items", Annotated[list[item_type], strawberry.argument(description=_ITEMS)]),
        named("on_failure", Annotated[OnFailure, strawberry.argument(description=_ON_FAILURE)], OnFailure.CONTINUE),
        named("dry_run", Annotated[bool, strawberry.argument(description=_DRY_RUN)], default=False),
    ]
    text = _FIELD.format(mutation=mutation) + update_text(resource, patches=patches)
    return root_field(strawberry.mutation, many, parameters, payload, text)
