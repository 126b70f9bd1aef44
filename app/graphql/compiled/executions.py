"""How an operation was run. The metric `gateway_executions_total` counts it."""

from __future__ import annotations

from enum import StrEnum


class Execution(StrEnum):
    """`COMPILED`, `COMPLETED` by graphql-core, or run by graphql-core alone for one of the other reasons."""

    COMPILED = "compiled"
    COMPLETED = "completed_by_graphql_core"
    # Because of the request: invalid values, or valid ones in a form that is not prepared.
    VARIABLES = "variables"
    TRACED = "traced"
    # Because of the operation.
    INTROSPECTION = "introspection"
    LITERAL = "literal"
    VARIABLE_IN_SCALAR = "variable_in_scalar"
    MANY_CONDITIONS = "many_conditions"
    # Because of the schema.
    INPUT_TYPE = "input_type"
    INPUT_DEFAULT = "input_default"
    RECURSIVE_INPUT = "recursive_input"
    RESOLVER = "resolver"
    ABSTRACT_TYPE = "abstract_type"
    # Because of a fault of ours, or the switch.
    SURPRISE = "surprise"
    SWITCHED_OFF = "switched_off"
