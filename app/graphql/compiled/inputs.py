"""Reads variables and literals into the arguments that Strawberry would pass to a resolver.

graphql-core creates dicts, and Strawberry converts them; here both are one step. A value that is not plainly valid
raises FallbackError, and graphql-core says what is wrong with it.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLInputObjectType,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    get_nullable_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    type_from_ast,
)
from graphql.pyutils import Undefined
from graphql.type import GraphQLBoolean, GraphQLInt, GraphQLString
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_literal
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional
from strawberry.types.lazy_type import LazyType

from app.graphql.compiled.executions import Execution
from app.mapping.generated import input_reader

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLField, GraphQLSchema
    from strawberry.schema.config import StrawberryConfig

Reader = Callable[[Any], Any]
RawVariables = Mapping[str, Any]
Source = Callable[[RawVariables], Any]

_INT_END = 2**31
_UNCHANGEABLE = (str, int, float, bool, decimal.Decimal, type(None), Enum)
# In JSON a whole number may be written as a float; graphql-core judges that.
_EXACT: dict[Any, type] = {GraphQLString: str, GraphQLBoolean: bool}


ABSENT: Any = object()


class FallbackError(Exception):
    """graphql-core has to run the operation: a value is invalid, or valid in a form that is not handled here."""


@dataclass(frozen=True)
class Shape:
    """How an input object is created: its attributes and declared types by GraphQL name, and its schema's defaults."""

    declared: type
    members: Mapping[str, tuple[str, Any]]
    defaults: Mapping[str, Any]
    required: tuple[str, ...]


class NotCompiledError(Exception):
    """graphql-core has to run the operation, whatever its variables are. `way` says why."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(execution)
        self.execution = execution


@dataclass
class Inputs:
    """The readers of one operation's inputs. `used` has the variables of the last arguments.

    `object_readers` are the schema's: they are the same for every operation.
    """

    schema: GraphQLSchema
    config: StrawberryConfig
    variables: Mapping[str, VariableDefinitionNode]
    object_readers: dict[tuple[str, Any, bool], Reader]
    used: set[str] = field(default_factory=set)
    _open: list[str] = field(default_factory=list)
    # Their readers return neither null nor ABSENT.
    _certain: set[Source] = field(default_factory=set)

    def reader(self, type_: Any, declared: Any) -> Reader:
        """Reads a variable's JSON as the GraphQL type `type_`, declared as `declared` in Python."""
        null = not is_non_null_type(type_)
        type_ = get_nullable_type(type_)
        declared = _plain(declared)
        if is_input_object_type(type_):
            return self._object_reader(type_, declared, null=null)
        if is_list_type(type_):
            return _list_reader(self.reader(type_.of_type, _item(declared)), null=null)
        return _leaf_reader(type_, null=null)

    def _object_reader(self, type_: GraphQLInputObjectType, declared: Any, *, null: bool) -> Reader:
        key = (type_.name, declared, null)
        if key in self.object_readers:
            return self.object_readers[key]
        if type_.name in self._open:
            raise NotCompiledError(Execution.RECURSIVE_INPUT)
        self._open.append(type_.name)
        shape = self._shape(type_, declared)
        types = {name: type_.fields[name].type for name in shape.members}
        readers = {name: self.reader(types[name], item) for name, (_, item) in shape.members.items()}
        self._open.pop()
        reader = self.object_readers[key] = input_reader(
            shape.declared,
            {name: attribute for name, (attribute, _) in shape.members.items()},
            readers,
            {name: _EXACT.get(get_nullable_type(type_)) for name, type_ in types.items()},
            defaults=shape.defaults,
            required=shape.required,
            nullable=null,
            fallback=FallbackError,
        )
        return reader

    def _shape(self, type_: GraphQLInputObjectType, declared: Any) -> Shape:
        definition = getattr(declared, "__strawberry_definition__", None)
        if (
            definition is None
            or not definition.is_input
            or definition.from_input is not None
            or type_.is_one_of
            or type_.out_type is not GraphQLInputObjectType.out_type
        ):
            raise NotCompiledError(Execution.INPUT_TYPE)
        members: dict[str, tuple[str, Any]] = {}
        fixed: dict[str, Any] = {}
        for member in definition.fields:
            name = self.config.name_converter.from_field(member)
            graphql_field = type_.fields[name]
            if graphql_field.out_name is not None:
                raise NotCompiledError(Execution.INPUT_TYPE)
            members[name] = (member.python_name, member.resolve_type(type_definition=definition))
            default = coerce_default_value(graphql_field)
            if default is not Undefined:
                if not isinstance(default, _UNCHANGEABLE):
                    raise NotCompiledError(Execution.INPUT_DEFAULT)
                fixed[member.python_name] = default
            elif member.default_value is MISSING and member.default_factory is MISSING:
                fixed[member.python_name] = None
        if members.keys() != type_.fields.keys():
            raise NotCompiledError(Execution.INPUT_TYPE)
        required = tuple(name for name, member in type_.fields.items() if is_required_input_field(member))
        return Shape(declared, members, fixed, required)

    def variable(self, name: str, declared: Any) -> Source:
        """The variable's value; ABSENT where the request has none and there is no default."""
        definition = self.variables[name]
        type_ = type_from_ast(self.schema, definition.type)
        read = self.reader(type_, declared)
        self.used.add(name)
        if definition.default_value is not None:
            default = self.literal(definition.default_value, type_, declared)
            return lambda variables: read(variables[name]) if name in variables else default(variables)
        if is_non_null_type(type_):

            def certain(variables: RawVariables) -> Any:
                return read(variables.get(name))

            self._certain.add(certain)
            return certain
        return lambda variables: read(variables[name]) if name in variables else ABSENT

    def literal(self, node: ValueNode, type_: Any, declared: Any) -> Source:
        """A value of the document, with the variables inside it."""
        if isinstance(node, VariableNode):
            source = self.variable(node.name.value, declared)
            return _refusing_null(source) if is_non_null_type(type_) and source not in self._certain else source
        if is_non_null_type(type_):
            type_ = type_.of_type
            if isinstance(node, NullValueNode):
                raise NotCompiledError(Execution.LITERAL)
        if isinstance(node, NullValueNode):
            return lambda _: None
        declared = _plain(declared)
        if is_list_type(type_):
            return self._list(node, type_.of_type, _item(declared))
        if is_input_object_type(type_):
            return self._object(node, type_, declared)
        return _leaf(node, type_)

    def _list(self, node: ValueNode, type_: Any, declared: Any) -> Source:
        if not isinstance(node, ListValueNode):
            only = self.literal(node, type_, declared)
            return lambda variables: [only(variables)]
        items = [self.literal(item, type_, declared) for item in node.values]
        fixed = is_non_null_type(type_)

        def read_list(variables: RawVariables) -> list[Any]:
            values = [item(variables) for item in items]
            if ABSENT in values:
                if fixed:
                    raise FallbackError
                values = [None if value is ABSENT else value for value in values]
            return values

        return read_list

    def _object(self, node: ValueNode, type_: GraphQLInputObjectType, declared: Any) -> Source:
        if not isinstance(node, ObjectValueNode):
            raise NotCompiledError(Execution.LITERAL)
        shape = self._shape(type_, declared)
        parts = []
        for member in node.fields:
            name = member.name.value
            if name not in shape.members:
                raise NotCompiledError(Execution.LITERAL)
            attribute, member_type = shape.members[name]
            parts.append((name, attribute, self.literal(member.value, type_.fields[name].type, member_type)))
        if set(shape.required) - {name for name, _, _ in parts}:
            raise NotCompiledError(Execution.LITERAL)
        build, fixed, required = shape.declared, shape.defaults, shape.required

        def read_object(variables: RawVariables) -> Any:
            values = dict(fixed)
            for name, attribute, source in parts:
                value = source(variables)
                if value is not ABSENT:
                    values[attribute] = value
                elif name in required:
                    raise FallbackError
            return build(**values)

        return read_object

    def arguments(self, field_def: GraphQLField, node: FieldNode, declared: Any) -> list[tuple[str, Source]]:
        """The arguments of a field by their Python names. A source that returns ABSENT leaves its argument out."""
        self.used = set()
        literals = {item.name.value: item.value for item in node.arguments or ()}
        named = {self.config.name_converter.from_argument(item): item for item in declared.arguments}
        if named.keys() != field_def.args.keys():
            raise NotCompiledError(Execution.ARGUMENTS)
        sources = []
        for name, item in named.items():
            definition = field_def.args[name]
            if isinstance(item.type, StrawberryMaybe):
                raise NotCompiledError(Execution.INPUT_TYPE)
            default = coerce_default_value(definition)
            if not (default is Undefined or isinstance(default, _UNCHANGEABLE)):
                raise NotCompiledError(Execution.INPUT_DEFAULT)
            missing = ABSENT if default is Undefined else default
            if name not in literals:
                if missing is not ABSENT:
                    sources.append((item.python_name, _constant(missing)))
                continue
            source = self.literal(literals[name], definition.type, item.type)
            if source not in self._certain:
                source = _defaulted(source, missing, required=is_required_argument(definition))
            sources.append((item.python_name, source))
        return sources


def _plain(declared: Any) -> Any:
    while isinstance(declared, StrawberryOptional | LazyType):
        if isinstance(declared, StrawberryMaybe):
            raise NotCompiledError(Execution.INPUT_TYPE)
        declared = declared.of_type if isinstance(declared, StrawberryOptional) else declared.resolve_type()
    return declared


def _item(declared: Any) -> Any:
    if not isinstance(declared, StrawberryList):
        raise NotCompiledError(Execution.INPUT_TYPE)
    return declared.of_type


def _list_reader(read: Reader, *, null: bool) -> Reader:
    def read_list(raw: Any) -> list[Any] | None:
        # One value may stand for a list of one; graphql-core knows when.
        if type(raw) is not list:
            if raw is None and null:
                return None
            raise FallbackError
        return [read(item) for item in raw]

    return read_list


def _leaf_reader(type_: Any, *, null: bool) -> Reader:
    if not is_leaf_type(type_) or type_.name == "GlobalID":
        raise NotCompiledError(Execution.INPUT_TYPE)
    exact = _EXACT.get(type_)
    if exact is not None:

        def read_exact(raw: Any) -> Any:
            if type(raw) is exact or (raw is None and null):
                return raw
            raise FallbackError

        return read_exact
    return _coercing(_integer if type_ is GraphQLInt else type_.coerce_input_value, null=null)


def _integer(raw: Any) -> Any:
    if type(raw) is int and -_INT_END <= raw < _INT_END:
        return raw
    raise FallbackError


def _coercing(coerce: Reader, *, null: bool) -> Reader:
    def read_leaf(raw: Any) -> Any:
        if raw is None:
            if null:
                return None
            raise FallbackError
        try:
            value = coerce(raw)
        except Exception as error:
            raise FallbackError from error
        if value is Undefined:
            raise FallbackError
        return value

    return read_leaf


def _leaf(node: ValueNode, type_: Any) -> Source:
    if not is_leaf_type(type_) or _has_variables(node):
        raise NotCompiledError(Execution.VARIABLE_IN_SCALAR)
    value = coerce_input_literal(node, type_)
    if value is Undefined:
        raise NotCompiledError(Execution.LITERAL)
    if isinstance(value, _UNCHANGEABLE):
        return _constant(value)
    # Created anew for each request: a resolver may change it.
    return lambda _: coerce_input_literal(node, type_)


def _has_variables(node: ValueNode) -> bool:
    if isinstance(node, ListValueNode):
        return any(map(_has_variables, node.values))
    if isinstance(node, ObjectValueNode):
        return any(_has_variables(member.value) for member in node.fields)
    return isinstance(node, VariableNode)


def _constant(value: Any) -> Source:
    return lambda _: value


def _refusing_null(source: Source) -> Source:
    def read(variables: RawVariables) -> Any:
        value = source(variables)
        if value is None:
            raise FallbackError
        return value

    return read


def _defaulted(source: Source, missing: Any, *, required: bool) -> Source:
    def read(variables: RawVariables) -> Any:
        value = source(variables)
        if value is not ABSENT:
            return value
        if required:
            raise FallbackError
        return missing

    return read
