"""How an operation was run. The metric `gateway_executions_total` counts it."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """`COMPILED`, `COMPLETED` by graphql-core, or run by graphql-core alone for one of the other reasons."""

    COMPILED = "compiled"
    COMPLETED = "completed_by_graphql_core"
    # The request's: values that are wrong, or right in a way that is not prepared for.
    VARIABLES = "variables"
    TRACED = "traced"
    # The operation's.
    INTROSPECTION = "introspection"
    LITERAL = "literal"
    VARIABLE_IN_SCALAR = "variable_in_scalar"
    MANY_CONDITIONS = "many_conditions"
    DEFERRED = "deferred"
    OPERATION = "operation"
    # The schema's.
    INPUT_TYPE = "input_type"
    INPUT_DEFAULT = "input_default"
    RECURSIVE_INPUT = "recursive_input"
    ARGUMENTS = "arguments"
    RESOLVER = "resolver"
    ABSTRACT_TYPE = "abstract_type"
    # A fault of ours, or the switch.
    SURPRISE = "surprise"
    SWITCHED_OFF = "switched_off"
