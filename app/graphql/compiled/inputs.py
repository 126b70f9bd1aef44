"""Reads variables and literals into the arguments that Strawberry would pass to a resolver.

graphql-core creates dicts, and Strawberry converts them; here both are one step. A literal becomes the JSON that a
variable would have, so that one reader serves both. A value that is not plainly valid raises FallbackError, and
graphql-core says what is wrong with it.
"""

from __future__ import annotations

import decimal
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import (
    FloatValueNode,
    GraphQLInputObjectType,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_nullable_type,
    is_equal_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.pyutils import Undefined
from graphql.type import GraphQLBoolean, GraphQLString
from graphql.utilities.coerce_input_value import coerce_default_value
from msgspec import Struct, field
from strawberry import UNSET
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional
from strawberry.types.lazy_type import LazyType

from app.graphql.compiled.executions import Execution
from app.graphql.lists import ITEMS, REPRESENTATIONS
from app.graphql.variables import values_below
from app.json_codec import JsonNumber
from app.mapping.generated import input_reader

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLField, GraphQLSchema
    from strawberry.schema.config import StrawberryConfig

Reader = Callable[[Any], Any]
RawVariables = Mapping[str, Any]
# Gives the JSON of an argument.
Source = Callable[[RawVariables], Any]

_UNCHANGEABLE = (str, int, float, bool, decimal.Decimal, type(None), type(UNSET), Enum)
# Digits of an integer that Python reads without a limit.
_DIGITS = 640
_EXACT: dict[Any, type] = {GraphQLString: str, GraphQLBoolean: bool}


ABSENT: Any = object()


class FallbackError(Exception):
    """graphql-core has to run the operation: a value is invalid, or valid in a form that is not handled here."""


class NotCompiledError(Exception):
    """graphql-core has to run the operation, whatever its variables are. `execution` says why."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution)
        self.execution = execution


class Argument(NamedTuple):
    """`name` is the Python one. `missing` is passed where `source` gives ABSENT; ABSENT as well means no argument."""

    name: str
    source: Source
    read: Reader
    missing: Any


class Inputs(Struct):
    """The readers of one operation's inputs. `used` has the variables of the last arguments.

    `object_readers` are the schema's: they are the same for every operation. `max_list` bounds lists and maps.
    """

    schema: GraphQLSchema
    config: StrawberryConfig
    variables: Mapping[str, VariableDefinitionNode]
    object_readers: dict[tuple[str, Any, bool], Reader]
    max_list: int
    used: set[str] = field(default_factory=set)
    open_types: list[str] = field(default_factory=list)

    def arguments(self, field_def: GraphQLField, node: FieldNode, declared: Any) -> list[Argument]:
        self.used = set()
        literals = {item.name.value: item.value for item in node.arguments or ()}
        named = {self.config.name_converter.from_argument(item): item for item in declared.arguments}
        arguments = []
        for name, item in named.items():
            definition = field_def.args[name]
            default = coerce_default_value(definition)
            if not (default is Undefined or isinstance(default, _UNCHANGEABLE)):
                raise NotCompiledError(Execution.INPUT_DEFAULT)
            missing = ABSENT if default is Undefined else default
            read = self._reader(definition.type, item.type, counted=name not in {ITEMS, REPRESENTATIONS})
            source = self._json(literals[name], definition.type) if name in literals else _nothing
            if name in literals and not any(isinstance(part, VariableNode) for _, part in values_below(literals[name])):
                try:
                    constant = read(source({}))
                except FallbackError:
                    raise NotCompiledError(Execution.LITERAL) from None
                # Any other value is created anew for each request: a resolver may change it.
                if isinstance(constant, _UNCHANGEABLE):
                    source, missing = _nothing, constant
            arguments.append(Argument(item.python_name, source, read, missing))
        return arguments

    def _json(self, node: ValueNode, type_: Any) -> Source:
        """Gives the JSON that a variable of this value would have; ABSENT for a variable without a value."""
        if isinstance(node, VariableNode):
            return self._variable(node.name.value, type_)
        type_ = get_nullable_type(type_)
        if is_list_type(type_) and not isinstance(node, NullValueNode):
            parts = node.values if isinstance(node, ListValueNode) else [node]
            items = [self._json(part, type_.of_type) for part in parts]
            return lambda variables: [None if (value := item(variables)) is ABSENT else value for item in items]
        if is_input_object_type(type_) and isinstance(node, ObjectValueNode):
            members = [
                (item.name.value, self._json(item.value, type_.fields[item.name.value].type)) for item in node.fields
            ]
            return lambda variables: {
                name: value for name, member in members if (value := member(variables)) is not ABSENT
            }
        _plain_json(node)
        return lambda _: _plain_json(node)

    def _variable(self, name: str, type_: Any) -> Source:
        definition = self.variables[name]
        own: Any = type_from_ast(self.schema, definition.type)
        # The value is read as the type of its place, which may allow null items where the variable does not.
        if not is_equal_type(get_nullable_type(own), get_nullable_type(type_)):
            raise NotCompiledError(Execution.LITERAL)
        self.used.add(name)
        default = _nothing if definition.default_value is None else self._json(definition.default_value, own)
        required = is_non_null_type(own)

        def json(variables: RawVariables) -> Any:
            value = variables[name] if name in variables else default(variables)
            if required and (value is None or value is ABSENT):
                raise FallbackError
            return value

        return json

    def _reader(self, type_: Any, declared: Any, *, counted: bool = True) -> Reader:
        """Reads JSON as the GraphQL type `type_`, declared as `declared` in Python. `counted` bounds a list."""
        null = not is_non_null_type(type_)
        type_ = get_nullable_type(type_)
        while isinstance(declared, StrawberryOptional | LazyType):
            if isinstance(declared, StrawberryMaybe):
                raise NotCompiledError(Execution.INPUT_TYPE)
            declared = declared.of_type if isinstance(declared, StrawberryOptional) else declared.resolve_type()
        if is_input_object_type(type_):
            return self._object_reader(type_, declared, null=null)
        if not is_list_type(type_):
            return _leaf_reader(type_, self.max_list, null=null)
        if not isinstance(declared, StrawberryList):
            raise NotCompiledError(Execution.INPUT_TYPE)
        most = self.max_list if counted else sys.maxsize
        return _list_reader(self._reader(type_.of_type, declared.of_type), most, null=null)

    def _object_reader(self, type_: GraphQLInputObjectType, declared: Any, *, null: bool) -> Reader:
        key = (type_.name, declared, null)
        if key in self.object_readers:
            return self.object_readers[key]
        if type_.is_one_of:
            raise NotCompiledError(Execution.INPUT_TYPE)
        if type_.name in self.open_types:
            raise NotCompiledError(Execution.RECURSIVE_INPUT)
        self.open_types.append(type_.name)
        definition = declared.__strawberry_definition__
        members = []
        for item in definition.fields:
            name = self.config.name_converter.from_field(item)
            member = type_.fields[name]
            default = coerce_default_value(member)
            if default is Undefined:
                default = None if item.default_value is MISSING else item.default_value
            if not isinstance(default, _UNCHANGEABLE):
                raise NotCompiledError(Execution.INPUT_DEFAULT)
            read = self._reader(member.type, item.resolve_type(type_definition=definition))
            exact = _EXACT.get(get_nullable_type(member.type))
            members.append(
                (name, item.python_name, read, exact, MISSING if is_required_input_field(member) else default)
            )
        self.open_types.pop()
        reader = self.object_readers[key] = input_reader(declared, members, nullable=null, fallback=FallbackError)
        return reader


def _nothing(_: RawVariables) -> Any:
    return ABSENT


def _plain_json(node: ValueNode) -> Any:
    """The JSON of a literal without variables."""
    if isinstance(node, ListValueNode):
        return [_plain_json(item) for item in node.values]
    if isinstance(node, ObjectValueNode):
        return {member.name.value: _plain_json(member.value) for member in node.fields}
    if isinstance(node, VariableNode):
        raise NotCompiledError(Execution.VARIABLE_IN_SCALAR)
    if isinstance(node, FloatValueNode):
        return JsonNumber.of(node.value)
    if not isinstance(node, IntValueNode):
        return getattr(node, "value", None)
    # An ID keeps the text of its literal. An int of Python loses that of -0, and has no such length.
    if len(node.value) > _DIGITS or node.value == "-0":
        raise NotCompiledError(Execution.LITERAL)
    return int(node.value)


def _list_reader(read: Reader, most: int, *, null: bool) -> Reader:
    def read_list(raw: Any) -> list[Any] | None:
        # One value may stand for a list of one; graphql-core knows when.
        if type(raw) is not list or len(raw) > most:
            if raw is None and null:
                return None
            raise FallbackError
        return [read(item) for item in raw]

    return read_list


def _leaf_reader(type_: Any, most: int, *, null: bool) -> Reader:
    if not is_leaf_type(type_) or type_.name == "GlobalID":
        raise NotCompiledError(Execution.INPUT_TYPE)
    coerce = type_.coerce_input_value

    def read_leaf(raw: Any) -> Any:
        if raw is None:
            if null:
                return None
            raise FallbackError
        try:
            value = coerce(raw)
        except Exception as error:
            raise FallbackError from error
        if value is Undefined or (type(value) is dict and len(value) > most):
            raise FallbackError
        return value

    return read_leaf
