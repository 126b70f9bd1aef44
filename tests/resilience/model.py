"""The local backends' documented rules in the fewest words: plain dicts, and what each update must answer."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

COMPANY = "a0000000-0000-4000-8000-000000000001"
IDS = {
    "customer": [f"c0000000-0000-4000-8000-{number:012}" for number in (1, 2, 3)],
    "supplier": [f"50000000-0000-4000-8000-{number:012}" for number in (1, 2, 3)],
}
NOBODY = "00000000-0000-4000-8000-000000000009"
BOOKING = "b0000000-0000-4000-8000-000000000001"
KEY = "ba5e0000-0000-4000-8000-000000000001"
ADDRESS = ("streetName", "city", "postalCode")
ACCOUNT = ("default", "iban", "bankName")
INVOICE = ("invoiceAddress1", "invoiceCity")
PLAIN = ("firstname", "lastname", "phone", "email")


class Relations:
    """Basecone: an update replaces the record; its code is nobody else's in the company."""

    def __init__(self, read: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.records = read

    def update(self, kind: str, record_id: str, given: dict[str, Any]) -> str | None:
        """The reason of the refusal, or None."""
        if (kind, record_id) not in self.records:
            return "RESOURCE_NOT_FOUND"
        code = given.get("code")
        others = [record["code"] for key, record in self.records.items() if key[0] == kind and key[1] != record_id]
        # In this order; the first that does not hold is the answer.
        holds = {
            "PROPERTIES_NOT_VALID": bool(given["name"].strip()),
            "CODE_INVALID": code is None or bool(code.strip()),
            "VALIDATION_ERRORS_OCCURRED": sum(item["default"] for item in given.get("bankAccounts") or []) <= 1,
            "VAT_CODE_INVALID": (given.get("vatCode") or {"code": "NL9"})["code"] in {"NL21", "NL9", "NL0"},
            "CODE_EXISTS": code is None or code not in others,
        }
        for reason, held in holds.items():
            if not held:
                return reason
        self.records[kind, record_id] = self.after(kind, record_id, given)
        return None

    def after(self, kind: str, record_id: str, given: dict[str, Any]) -> dict[str, Any]:
        address = given.get("address")
        return {
            "code": given.get("code"),
            "name": given["name"],
            "externalId": self.records[kind, record_id]["externalId"],
            "phone": given.get("phone"),
            "vatCode": given.get("vatCode"),
            "address": None if address is None else {name: address.get(name) for name in ADDRESS},
            "bankAccounts": [
                {name: account.get(name) for name in ACCOUNT} for account in given.get("bankAccounts") or []
            ],
            "metadata": given.get("metadata"),
        }


class Booking:
    """BokaMera: an update merges; all of its faults are told at once, and then nothing of it is done."""

    def __init__(self, read: dict[str, Any]) -> None:
        self.record = read

    def update(self, given: dict[str, Any]) -> list[tuple[str, list[Any]]]:
        """The reasons and places of the refusals; the id of a created key is left None."""
        if nulls := [name for name, value in given.items() if value is None]:
            return [("NULL_NOT_SUPPORTED", ["input", name]) for name in nulls]
        faults: list[tuple[str, list[Any]]] = []
        after = deepcopy(self.record)
        after |= {name: given[name] for name in (*PLAIN, "subscribedToNewsletter") if name in given}
        if given.get("email") and not re.fullmatch("[^@]+@[^@]+", given["email"], re.DOTALL):
            faults.append(("FIELD_EMAIL_INVALID", ["input", "email"]))
        for position, item in enumerate(given.get("customFields", [])):
            reason = _refused(item["id"], item["value"])
            if reason is not None:
                place = "id" if reason == "FIELD_CONDITION_FAILED" and item["id"] == 9 else "value"
                faults.append((reason, ["input", "customFields", position, place]))
            after["customFieldValues"][item["id"]] = item["value"]
        known = dict(self.record["accessKeys"])
        deleted = [item["id"] for item in given.get("accessKeysToDelete", [])]
        for position, item in enumerate(given.get("accessKeys", [])):
            place = ["input", "accessKeys", position]
            key_id = item.get("id")
            if key_id is not None and (key_id not in known or key_id in deleted):
                faults.append(("FIELD_CONDITION_FAILED", [*place, "id"]))
                continue
            if item.get("accessKeyTypeId", 0 if key_id is None else 1) not in {1, 2}:
                faults.append(("FIELD_CONDITION_FAILED", [*place, "accessKeyTypeId"]))
            if not item.get("value", "" if key_id is None else "kept"):
                faults.append(("FIELD_EMPTY", [*place, "value"]))
            members = {name: item[name] for name in ("accessKeyTypeId", "value", "description") if name in item}
            new_id = ("new", position) if key_id is None else key_id
            after["accessKeys"][new_id] = {
                "accessKeyTypeId": None,
                "value": None,
                "description": None,
                **after["accessKeys"].get(new_id, {}),
                **members,
            }
        for position, key_id in enumerate(deleted):
            if key_id not in known:
                faults.append(("FIELD_CONDITION_FAILED", ["input", "accessKeysToDelete", position, "id"]))
            after["accessKeys"].pop(key_id, None)
        after["invoiceAddress"] |= given.get("invoiceAddress", {})
        if not faults:
            self.record = after
        return faults

    def name_new_keys(self, ids: list[str]) -> None:
        """`ids`: those of all keys as the service answered them, in its order."""
        assert len(ids) == len(self.record["accessKeys"])
        named = {}
        for told, (key_id, key) in zip(ids, self.record["accessKeys"].items(), strict=True):
            assert isinstance(key_id, tuple) or key_id == told
            named[told] = key
        assert len(named) == len(ids)
        self.record["accessKeys"] = named


def _refused(field: int, value: str) -> str | None:
    if field == 9:
        return "FIELD_CONDITION_FAILED"
    if not value:
        return "FIELD_EMPTY" if field == 1 else None
    if field == 2 and len(value) > 20:
        return "FIELD_LENGTH_INVALID"
    if field == 3 and not re.fullmatch("[0-9]{4}", value):
        return "FIELD_FORMAT_INVALID"
    if field == 4 and value not in {"small", "medium", "large"}:
        return "FIELD_CONDITION_FAILED"
    return None
