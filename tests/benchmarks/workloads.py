"""What the benchmarks send: bodies, each for a record of its own, and the two texts that its answer must have."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

COUNT = 512
ITEMS = 50  # of a bulk and of a list
QUERY = """mutation Update($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input) {
    customer { id name vatNumber address { city } bankAccounts { iban default } }
  }
}"""
INPUT: dict[str, Any] = {
    "company": {"companyId": "a0000000-0000-4000-8000-000000000001"},
    "name": "Acme Wholesale and Retail Trading Company B.V.",
    "code": "C001",
    "vatNumber": "NL004495445B01",
    "chamberOfCommerce": "12345678",
    "phone": "+31 20 123 45 67",
    "fax": "+31 20 123 45 68",
    "number": "1001",
    "email": "invoices@acme-wholesale.example",
    "address": {
        "streetName": "Herengracht",
        "streetNumber": "182-184",
        "city": "Amsterdam",
        "postalCode": "1016 BR",
        "country": {"code": "NL"},
    },
    "vatCode": {"code": "NL21"},
    "payCollectType": {"code": "BANK"},
    "paymentCondition": {"code": "NET30"},
    "bankAccounts": [
        {
            "default": number == 0,
            "externalId": f"account-{number}",
            "iban": "NL91ABNA0417164300",
            "bicCode": "ABNANL2A",
            "bankName": "ABN AMRO",
            "country": {"code": "NL"},
        }
        for number in range(3)
    ],
}


def record_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"customer {number}"))


def customer(number: int) -> dict[str, Any]:
    return {
        **INPUT,
        "name": f"Acme Wholesale and Retail {number} B.V.",
        "code": f"C{number:04}",
        "number": str(1000 + number),
        "email": f"invoices-{number}@acme-wholesale.example",
        "address": {**INPUT["address"], "streetNumber": f"{number}-{number + 2}"},
    }


def vendor_record() -> dict[str, Any]:
    """`INPUT` as Basecone spells it."""
    spelling = {"number": "Number", "paymentCondition": "PaymentCondition", "email": "Email"}
    record = {spelling.get(name, name): value for name, value in INPUT.items()}
    return {**record, "PaymentCondition": {"Code": INPUT["paymentCondition"]["code"]}}


@dataclass(frozen=True)
class Workload:
    """`variables(number)` are one request's; its answer has `text`, and that record's id where it `names_record`."""

    query: str
    variables: Callable[[int], dict[str, Any]]
    text: str
    names_record: bool = True
    items: int = 1  # of which each is a cost of its own
    count: int = COUNT

    @cached_property
    def bodies(self) -> list[str]:
        return [json.dumps({"query": self.query, "variables": self.variables(number)}) for number in range(self.count)]

    def order(self, kind: str) -> dict[str, Any]:
        """What `load.py` is told to send: `alike` is one body over and over."""
        count = self.count if kind == "real" else 1
        expect = [(record_id(number) if self.names_record else "", self.text) for number in range(count)]
        return {"kind": kind, "bodies": self.bodies[:count], "expect": expect}


UPDATE = Workload(QUERY, lambda number: {"id": record_id(number), "input": customer(number)}, "NL91ABNA0417164300")
REFUSED = Workload(
    QUERY,
    lambda number: {"id": record_id(number), "input": {**customer(number), "vatCode": {"code": "REFUSE"}}},
    "VatCode value",
    names_record=False,
)
PATCH = Workload(
    """mutation Patch($id: UUID!, $patch: CustomerPatch!) {
  patchCustomer(id: $id, patch: $patch) {
    customer { id name vatNumber address { city } bankAccounts { iban default } }
  }
}""",
    lambda number: {"id": record_id(number), "patch": {"name": f"Acme {number} B.V.", "phone": f"+31 20 {number:07}"}},
    "NL91ABNA0417164300",
)
BULK = Workload(
    """mutation Bulk($items: [UpdateCustomerItem!]!) {
  updateCustomers(items: $items) {
    applied
    results { outcome customer { id name vatNumber address { city } bankAccounts { iban default } } }
  }
}""",
    lambda number: {
        "items": [
            {"id": record_id(number if part == 0 else COUNT + ITEMS * number + part), "input": customer(part)}
            for part in range(ITEMS)
        ]
    },
    f'"applied":{ITEMS}',
    items=ITEMS,
    count=32,
)
LIST = Workload(
    """query List($company: UUID!, $first: Int!) {
  customers(companyId: $company, first: $first) { nodes { id code name } pageInfo { hasNextPage } totalCount }
}""",
    lambda _: {"company": INPUT["company"]["companyId"], "first": ITEMS},
    f'"code":"C{ITEMS - 1:04}"',
    names_record=False,
    items=ITEMS,
    count=1,
)


def vendor_list() -> dict[str, Any]:
    """A page of `ITEMS` customers as Basecone's list shows them."""
    items = [
        {"customerId": record_id(number), "code": f"C{number:04}", "name": customer(number)["name"]}
        for number in range(ITEMS)
    ]
    return {"customers": items, "_metadata": {"total": ITEMS}}
