"""Compiles an operation once per document and runs it without graphql-core.

graphql-core is the fallback. Before a resolver was called, it runs the whole operation. Afterwards it only completes
the resolvers' results, so that no update is sent twice.
"""

from app.graphql.compiled.executions import Execution
from app.graphql.compiled.operations import CompiledOperations

__all__ = ["CompiledOperations", "Execution"]
