"""The documents of `python -m app apply`, one for each bulk mutation. The gateway always trusts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphql import GraphQLInputObjectType, get_named_type
from msgspec import Struct

if TYPE_CHECKING:
    from graphql import GraphQLSchema

APPLY = "Apply"
LOOK_UP = "LookUp"
_DOCUMENT = """mutation Apply($items: [%(item)s!]!, $dryRun: Boolean!) {
  %(field)s(items: $items, dryRun: $dryRun) {
    results {
      index
      outcome
      replayed
      userErrors { message code reason inputPath retryAfterSeconds }
    }
  }
}

query LookUp($key: String!) {
  updates(idempotencyKey: $key, first: 1) {
    nodes { outcome code reason }
  }
}
"""


class Bulk(Struct, frozen=True):
    """A bulk mutation: its field, its item, and a document with the operations `Apply` and `LookUp`."""

    field: str
    item: GraphQLInputObjectType
    document: str


def bulks(schema: GraphQLSchema) -> dict[str, Bulk]:
    """Each mutation field that takes `items`, by its single field's name: `updateCustomer` for `updateCustomers`."""
    mutation = schema.mutation_type
    result: dict[str, Bulk] = {}
    for name, field in (mutation.fields if mutation else {}).items():
        items = field.args.get("items")
        item = get_named_type(items.type) if items else None
        if isinstance(item, GraphQLInputObjectType):
            result[name.removesuffix("s")] = Bulk(name, item, _DOCUMENT % {"item": item.name, "field": name})
    return result
