"""Prepares each document once: parses, counts and validates it, and reads its operations.

There are two LRU caches. Valid documents are bounded by number and weight. Invalid ones are cached with their errors,
so that a repeated one costs little, and apart, so that they never push out a valid one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    is_non_null_type,
    parse,
    validate,
)
from graphql.language import NonNullTypeNode
from graphql.utilities import TypeInfo
from graphql.validation import ValidationContext
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from app.graphql.limits import RULES, DocumentLimits, DocumentSize
from app.graphql.lists import refuse_long
from app.graphql.request_errors import (
    DOCUMENT_INVALID,
    DOCUMENT_TOO_DEEP,
    DOCUMENT_TOO_LONG,
    DOCUMENT_UNPARSABLE,
    OPERATION_NOT_FOUND,
    ErrorEntry,
    RequestError,
    request_error,
    shortened,
)
from app.graphql.variables import locations, member_of, place_of_error

if TYPE_CHECKING:
    from collections.abc import Mapping

# A longer document is run, but not cached: strings do not count as tokens.
MAX_CACHED_LENGTH = 65_536
# Measured: bytes of a document's tree for each of its tokens, comments included.
_BYTES_OF_TOKEN = 200
# The average weight that a document may have. One written by a person has some hundred tokens.
_MEAN_WEIGHT = 65_536
_REFUSED_SHARE = 10

# Strawberry's own rule for `Maybe`, which an API may use.
MAX_ERRORS = 20
_RULES = (*RULES, MaybeNullValidationRule)


# graphql-core marks these only by their messages. The second says that its work grew beyond its bound.
_TOO_MANY_TOKENS = "Syntax Error: Document contains more than"
_ABORTED = "Validation aborted."
_MORE_ERRORS = "Too many validation errors, error limit reached. Validation aborted."


@dataclass(frozen=True)
class Operation:
    """The facts about an operation that are known before it runs.

    `root_fields` are the root's fields by response key, except those inside fragments. `never_null` names the variables
    that stand where null is not allowed although their type allows it. A default covers only an absent one, and
    graphql-core would find a null as late as in the middle of the mutation.
    """

    node: OperationDefinitionNode
    name: str | None
    kind: OperationType
    root_names: frozenset[str]
    root_fields: Mapping[str, str]
    never_null: tuple[str, ...]
    long_literals: bool = False
    # Cached by `app.graphql.compiled`. It is dropped with the document.
    compiled: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
    # Cached by `app.telemetry` for its log lines. It is dropped with the document, too.
    telemetry: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def summary(self) -> tuple[Any, ...]:
        """The key under which its metrics are counted."""
        return (self.kind.value, *self.root_fields.items())

    @cached_property
    def mutation(self) -> bool:
        return self.kind is OperationType.MUTATION


@dataclass(frozen=True)
class Document:
    """A document that may run."""

    ast: DocumentNode
    operations: Mapping[str | None, Operation]
    fragments: Mapping[str, FragmentDefinitionNode]

    def operation(self, name: str | None) -> Operation:
        """The operation to run; an empty name counts as none. Raises RequestError."""
        if name:
            if name not in self.operations:
                raise request_error(OPERATION_NOT_FOUND, "The document has no operation of the given name.")
            return self.operations[name]
        if len(self.operations) != 1:
            problem = "The document has several operations; give operationName." if self.operations else None
            raise request_error(OPERATION_NOT_FOUND, problem or "The document has no operation.")
        return next(iter(self.operations.values()))


def _weight(document: Document) -> int:
    """The weight of a document in the cache: its bytes, and at least a mean share, which bounds their number."""
    source = document.ast.loc.source.body if document.ast.loc is not None else ""
    return max(_MEAN_WEIGHT, len(source) + _BYTES_OF_TOKEN * document.ast.token_count)


class Documents:
    """The cache. `hits` and `misses` are for metrics."""

    def __init__(
        self, schema: GraphQLSchema, limits: DocumentLimits, *, introspection: bool = True, max_cached: int = 1000
    ) -> None:
        self._schema = schema
        self._limits = limits
        self._introspection = introspection
        self._valid: LRUCache[str, Document] = LRUCache(max_cached * _MEAN_WEIGHT, getsizeof=_weight)
        # A source and its errors are of bounded length, so that a bound on the number is enough.
        self._invalid: LRUCache[str, tuple[ErrorEntry, ...]] = LRUCache(max(1, max_cached // _REFUSED_SHARE))
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._valid) + len(self._invalid)

    def get(self, source: str) -> Document:
        """Raises RequestError, a new one for each request."""
        try:
            document = self._valid[source]
        except KeyError:
            pass
        else:
            self.hits += 1
            return document
        if (errors := self._invalid.get(source)) is not None:
            self.hits += 1
            raise RequestError(errors)
        self.misses += 1
        short = len(source) <= MAX_CACHED_LENGTH
        try:
            document = self._prepare(source)
        except RequestError as error:
            if short:
                self._invalid[source] = error.errors
            raise
        if short and _weight(document) <= self._valid.maxsize:
            self._valid[source] = document
        return document

    def _parse(self, source: str) -> tuple[DocumentNode, DocumentSize]:
        if len(source) > self._limits.max_length:
            raise request_error(DOCUMENT_TOO_LONG, f"The document has more than {self._limits.max_length} characters.")
        try:
            ast = parse(source, max_tokens=self._limits.max_tokens)
            return ast, DocumentSize(ast)
        except GraphQLError as error:
            if error.message.startswith(_TOO_MANY_TOKENS):
                problem = f"The document has more than {self._limits.max_tokens} tokens."
                raise request_error(DOCUMENT_TOO_LONG, problem) from None
            raise RequestError([ErrorEntry(DOCUMENT_UNPARSABLE, shortened(error.message), locations(error))]) from None
        except RecursionError:
            raise request_error(DOCUMENT_TOO_DEEP, "The document is nested too deeply.") from None

    def _prepare(self, source: str) -> Document:
        """Raises RequestError."""
        ast, size = self._parse(source)
        size.refuse_excess(self._limits, introspection=self._introspection)
        errors = validate(self._schema, ast, _RULES, max_errors=MAX_ERRORS, hide_suggestions=True)
        if errors:
            raise RequestError([_validation_error(ast, error) for error in errors])
        context = ValidationContext(self._schema, ast, TypeInfo(self._schema), lambda _: None)
        fragments = {item.name.value: item for item in ast.definitions if isinstance(item, FragmentDefinitionNode)}
        operations = {}
        for node in ast.definitions:
            if isinstance(node, OperationDefinitionNode):
                name, roots = node.name.value if node.name else None, size.root_names(node)
                fields, never_null = _root_fields(node, roots), _never_null(context, node)
                long, _ = refuse_long(self._schema, fragments, node, {}, self._limits.max_list)
                operations[name] = Operation(node, name, node.operation, roots, fields, never_null, bool(long))
        return Document(ast, operations, fragments)


def _root_fields(operation: OperationDefinitionNode, names: frozenset[str]) -> dict[str, str]:
    fields = {
        (node.alias or node.name).value: node.name.value
        for node in operation.selection_set.selections
        if isinstance(node, FieldNode)
    }
    for name in sorted(names - set(fields.values())):
        fields.setdefault(name, name)
    return fields


def _never_null(context: ValidationContext, operation: OperationDefinitionNode) -> tuple[str, ...]:
    nullable = {
        item.variable.name.value
        for item in operation.variable_definitions or ()
        if not isinstance(item.type, NonNullTypeNode)
    }
    if not nullable:
        return ()
    return tuple(
        {
            usage.node.name.value: None
            for usage in context.get_recursive_variable_usages(operation)
            if usage.node.name.value in nullable and is_non_null_type(usage.type)
        }
    )


def _validation_error(ast: DocumentNode, error: GraphQLError) -> ErrorEntry:
    operations = (definition for definition in ast.definitions if isinstance(definition, OperationDefinitionNode))
    places = (place_of_error(operation, error) for operation in operations)
    place = next((place for place in places if place is not None), None)
    return ErrorEntry(DOCUMENT_INVALID, _plain(error.message), locations(error), place)


def _plain(message: str) -> str:
    """graphql-core's text in GraphQL's words, and without the one suggestion that it makes even where they are off."""
    if message == _ABORTED:
        return "The document cannot be validated: its fields repeat too often, or its fragments nest too deeply."
    if message == _MORE_ERRORS:
        return "The document has more faults than are listed."
    if (about := member_of(message)) is not None:
        return shortened(about[1])
    text, suggestion, _ = message.partition(" Did you mean ")
    return shortened(text if suggestion else message.replace("not to be None.", "not to be null."))
