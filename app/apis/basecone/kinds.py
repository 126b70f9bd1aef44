"""Basecone's kinds of record, as its rows and rules call them."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "basecone"


@dataclass(frozen=True, slots=True)
class Kind:
    """`plural` is the route's word, `id_member` the read's name for the id."""

    singular: str
    plural: str
    mutation: str

    @property
    def id_member(self) -> str:
        return f"{self.singular}Id"


CUSTOMER = Kind("customer", "customers", "updateCustomer")
SUPPLIER = Kind("supplier", "suppliers", "updateSupplier")
KINDS = (CUSTOMER, SUPPLIER)
