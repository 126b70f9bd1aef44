"""How ServiceStack binds a request's body: names in any casing, unknown ones and unfit scalars ignored, null as absent.

ServiceStack.Text, `DeserializeTypeRef`: without `ThrowOnError` a value that cannot be read leaves its member as it was.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from app.mapping.scalars import parse_uuid

if TYPE_CHECKING:
    from app.mapping.wire import Wire

Reader = Callable[[Any], Any]
_TRUE = {"true", "1", "t", "y", "yes", "on"}
_FALSE = {"false", "0", "f", "n", "no", "off"}
_INT32 = 2**31


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    if not isinstance(value, str | int | decimal.Decimal):
        raise ValueError("no scalar")
    return str(value)


def _integer(value: Any) -> int:
    number = int(_text(value))
    if not -_INT32 <= number < _INT32:
        raise ValueError("no Int32")
    return number


def _boolean(value: Any) -> bool:
    text = _text(value).casefold()
    if text not in _TRUE | _FALSE:
        raise ValueError("no bool")
    return text in _TRUE


def _object(members: Mapping[str, Reader]) -> Reader:
    names = {name.casefold(): (name, read) for name, read in members.items()}

    def read_object(value: Any) -> Wire:
        if not isinstance(value, Mapping):
            raise ValueError("no object")
        result: Wire = {}
        for key, item in value.items():
            name, read = names.get(str(key).casefold(), ("", None))
            if read is None or item is None:
                continue
            try:
                result[name] = read(item)
            except ValueError:
                continue
        return result

    return read_object


def _list(read: Reader) -> Reader:
    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("no list")
        return [read(item if item is not None else {}) for item in value]

    return read_list


_INVOICE_ADDRESS = (
    "CorporateIdentityNumber",
    "InvoiceAddress1",
    "InvoiceAddress2",
    "InvoiceCity",
    "InvoicePostalCode",
    "InvoiceCountryCode",
)
_ACCESS_KEY = {
    "Id": parse_uuid,
    "CompanyId": parse_uuid,
    "AccessKeyTypeId": _integer,
    "Value": _text,
    "CustomerId": parse_uuid,
    "Description": _text,
}
bind: Reader = _object(
    {
        # Binds from the body too, though the page documents it as a query parameter.
        "CompanyId": parse_uuid,
        "Firstname": _text,
        "Lastname": _text,
        "Phone": _text,
        "Email": _text,
        "CustomFields": _list(_object({"Id": _integer, "Value": _text})),
        "AccessKeys": _list(_object(_ACCESS_KEY)),
        "AccessKeysToDelete": _list(_object({"Id": parse_uuid})),
        "SubscribedToNewsletter": _boolean,
        "InvoiceAddress": _object(dict.fromkeys(_INVOICE_ADDRESS, _text)),
    }
)
