"""Operations prepared once per document: variables read, resolvers called and values completed without graphql-core.

It takes what it can prove to be the ordinary case. Everything else is graphql-core's: before anything ran the whole
operation, afterwards the completion, over the results that the resolvers have already given.
"""

from app.graphql.compiled.operations import CompiledOperations, Executed
from app.graphql.compiled.ways import Way

__all__ = ["CompiledOperations", "Executed", "Way"]
