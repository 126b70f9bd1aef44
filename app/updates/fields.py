"""A resource's root fields: resolvers that show their parameters, and the arguments that all of them have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, Info

from app.mapping.scalars import UUID
from app.updates.change import Change
from app.updates.resource import Argument, Options, Resource

REQUIRED: Any = inspect.Parameter.empty
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


def root_field(
    kind: Callable[..., Any], resolver: Callable[..., Any], parameters: Iterable[inspect.Parameter], of: Any, text: str
) -> Any:
    """A nullable field whose resolver shows these parameters as its own."""
    parameters = list(parameters)
    shown: Any = resolver
    shown.__signature__ = inspect.Signature([named("info", Info), *parameters], return_annotation=of | None)
    shown.__annotations__ = {item.name: item.annotation for item in parameters} | {"info": Info, "return": of | None}
    return kind(resolver=shown, description=text)


def update_arguments(resource: Resource, *, patches: bool) -> list[Argument]:
    """The arguments of an update of one record, in the schema's order."""
    if patches:
        assert resource.patch is not None
        values = Argument(name="patch", type=resource.patch.input, description=_PATCH, default=REQUIRED)
    else:
        values = Argument(name="input", type=resource.input, description=resource.texts.input, default=REQUIRED)
    before = [item for item in resource.arguments if item.before_input]
    after = [item for item in resource.arguments if not item.before_input]
    return [id_argument(resource), *before, values, *after, *_GUARDS]


def change_of(
    patches: bool,
    *,
    id: str,  # noqa: A002 - the argument's name
    input: Any = None,  # noqa: A002 - the argument's name
    patch: Any = None,
    expected_revision: Any = None,
    dry_run: bool = False,
    **further: Any,
) -> Change:
    """The change that the arguments of a field, or of a bulk's item, ask for."""
    return Change(
        id=id,
        input=patch if patches else input,
        options=options(further),
        expected_revision=None if expected_revision is UNSET else expected_revision,
        dry_run=dry_run,
        patches=patches,
    )


def update_text(resource: Resource, *, patches: bool) -> str:
    return resource.texts.mutation if not patches or resource.patch is None else resource.patch.description


def id_argument(resource: Resource) -> Argument:
    return Argument(name="id", type=UUID, description=resource.texts.id, default=REQUIRED)


def parameter(argument: Argument) -> inspect.Parameter:
    type_: Any = argument.type
    annotation: Any = Annotated[type_, strawberry.argument(description=argument.description)]
    return named(argument.name, annotation, argument.default)


def named(name: str, annotation: Any, default: Any = REQUIRED) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def options(arguments: Mapping[str, Any]) -> Options:
    return {name: value for name, value in arguments.items() if value is not None and value is not UNSET}
