"""Bounds the size of a document before it is validated: validation makes a huge document expensive.

There is one error for each limit, not for each place: ten bad directives are one error. The rules are built once.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    specified_rules,
)
from graphql.validation import (
    ASTValidationRule,
    KnownDirectivesRule,
    OverlappingFieldsCanBeMergedRule,
    UniqueDirectivesPerLocationRule,
    ValidationContext,
)
from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict, Field

from app.graphql.request_errors import (
    ALIAS_TOO_LONG,
    DOCUMENT_TOO_DEEP,
    INTROSPECTION_DISABLED,
    TOO_MANY_ALIASES,
    TOO_MANY_DIRECTIVES,
    TOO_MANY_FIELDS,
    TOO_MANY_ROOT_FIELDS,
    request_error,
)
from app.settings import Count

if TYPE_CHECKING:
    from collections.abc import Sequence


class DocumentLimits(BaseModel):
    """A field is the environment variable `GATEWAY_<FIELD>`.

    All counts include the contents of fragments, each time that they are spread. GraphiQL's introspection fits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    max_length: Count = Field(100_000, description="Longest document, in characters.")
    max_tokens: Count = Field(2000, description="Largest document, in tokens.")
    max_depth: Count = Field(20, description="Deepest selection.")
    max_fields: Count = Field(1000, description="Most fields in a document, fragments counted where they are spread.")
    max_aliases: Count = Field(50, description="Most aliases in a document.")
    max_alias_length: Count = Field(200, description="Longest alias, in characters.")
    max_page: Count = Field(100, description="Most records of a list's page.")
    max_root_fields: Count = Field(50, description="Most root fields of an operation.")
    max_list: Count = Field(200, description="Most members of a list or map in an input.")
    max_bulk: Count = Field(500, description="Most items in all bulk fields of a request together.")
    max_directives: Count = Field(50, description="Most directives in a document.")


# These cost few bytes, and their answers are large and always the same: aliases would only repeat them.
_LARGE = frozenset({"sdl", "__schema", "errorCatalog"})
_MAX_LARGE = 5
# In graphql-core's units. Its own bound is 500,000, which takes most of a second.
_COMPARISONS = 100_000


class _FirstOnly:
    """Reports only the first of its errors: all of them would be an answer larger than the document."""

    _reported = False

    def report_error(self, error: GraphQLError) -> None:
        if not self._reported:
            self._reported = True
            super().report_error(error)  # type: ignore[misc]


class KnownDirectiveOnceRule(_FirstOnly, KnownDirectivesRule):
    """As specified, but one error however many there are."""


class UniqueDirectiveOnceRule(_FirstOnly, UniqueDirectivesPerLocationRule):
    """As specified, but one error however many there are."""


class BoundedOverlapRule(OverlappingFieldsCanBeMergedRule):
    """As specified, but gives up five times earlier: the work grows with the square of the fields of one name."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = _COMPARISONS


_REPLACED: dict[type[ASTValidationRule], type[ASTValidationRule]] = {
    KnownDirectivesRule: KnownDirectiveOnceRule,
    UniqueDirectivesPerLocationRule: UniqueDirectiveOnceRule,
    OverlappingFieldsCanBeMergedRule: BoundedOverlapRule,
}
RULES: tuple[type[ASTValidationRule], ...] = tuple(_REPLACED.get(rule, rule) for rule in specified_rules)


class _Size(Struct):
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    alias_length: int = 0
    directives: int = 0
    large: int = 0
    roots: Counter[str] = field(default_factory=Counter)

    @property
    def root_fields(self) -> int:
        return self.roots.total()

    def add(self, other: _Size, *, root: bool) -> None:
        """Adds the size of a neighbour at the same level."""
        self.depth = max(self.depth, other.depth)
        self.fields += other.fields
        self.aliases += other.aliases
        self.alias_length = max(self.alias_length, other.alias_length)
        self.directives += other.directives
        self.large += other.large
        if root:
            self.roots += other.roots


class DocumentSize:
    """Counts a document with its fragments expanded. A cycle of fragments counts once; validation reports it."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            item.name.value: item for item in document.definitions if isinstance(item, FragmentDefinitionNode)
        }
        self._sizes: dict[str, _Size] = {}
        self._open: set[str] = set()
        self._operations = {
            id(item): self._definition(item)
            for item in document.definitions
            if isinstance(item, OperationDefinitionNode)
        }
        # Fragments that no operation uses are validated, too.
        self._unused = [self._fragment(name) for name in self._fragments]

    def root_names(self, operation: OperationDefinitionNode) -> frozenset[str]:
        return frozenset(self._operations[id(operation)].roots)

    def _definition(self, item: OperationDefinitionNode | FragmentDefinitionNode) -> _Size:
        size = self._selections(item.selection_set)
        size.directives += len(item.directives or ())
        for variable in item.variable_definitions or ():
            size.directives += len(variable.directives or ())
        return size

    def _fragment(self, name: str) -> _Size:
        if name in self._open or name not in self._fragments:
            return _Size()
        if name not in self._sizes:
            self._open.add(name)
            self._sizes[name] = self._definition(self._fragments[name])
            self._open.discard(name)
        return self._sizes[name]

    def _selections(self, selection_set: SelectionSetNode | None) -> _Size:
        size = _Size()
        for node in selection_set.selections if selection_set else ():
            size.directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                below = self._selections(node.selection_set)
                below.depth += 1
                below.fields += 1
                below.large += node.name.value in _LARGE
                if node.alias is not None:
                    below.aliases += 1
                    below.alias_length = max(below.alias_length, len(node.alias.value))
                size.add(below, root=False)
                size.roots[node.name.value] += 1
            elif isinstance(node, FragmentSpreadNode):
                size.add(self._fragment(node.name.value), root=True)
            else:
                inline: Any = node
                size.add(self._selections(inline.selection_set), root=True)
        return size

    def refuse_excess(self, limits: DocumentLimits, *, introspection: bool) -> None:
        """Raises RequestError for the first limit that the document breaks, and names it."""
        operations = list(self._operations.values())
        everything = [*operations, *self._unused]
        # The answer repeats an alias for each item of a list, and each error does, too.
        if _most(everything, "alias_length") > limits.max_alias_length:
            problem = f"The document has an alias of more than {limits.max_alias_length} characters."
            raise request_error(ALIAS_TOO_LONG, problem)
        for sizes, what, most, row, noun in (
            (everything, "depth", limits.max_depth, DOCUMENT_TOO_DEEP, "levels of selections"),
            (everything, "fields", limits.max_fields, TOO_MANY_FIELDS, "fields"),
            (everything, "aliases", limits.max_aliases, TOO_MANY_ALIASES, "aliases"),
            (operations, "root_fields", limits.max_root_fields, TOO_MANY_ROOT_FIELDS, "root fields"),
            (everything, "large", _MAX_LARGE, TOO_MANY_FIELDS, "fields of the whole schema or catalogue"),
            (everything, "directives", limits.max_directives, TOO_MANY_DIRECTIVES, "directives"),
        ):
            if _most(sizes, what) > most:
                raise request_error(row, f"The document has more than {most} {noun}, fragments included.")
        if not introspection and any({"__schema", "__type"} & size.roots.keys() for size in operations):
            raise request_error(INTROSPECTION_DISABLED)


def _most(sizes: Sequence[_Size], what: str) -> int:
    return max((getattr(size, what) for size in sizes), default=0)
