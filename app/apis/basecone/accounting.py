"""The checks of a linked accounting system (assumed: Basecone's pages only say that such checks exist)."""

from __future__ import annotations

from types import ModuleType

from stdnum import bic, get_cc_module, iban
from stdnum.eu import vat
from stdnum.exceptions import ValidationError

from app.mapping.wire import Wire

# More than any number has with its separators. The time of the checks grows with the square of the length.
_LONGEST = 64


def complaint(document: Wire) -> str | None:
    """Why the accounting system refuses a record, or None. The text names the place, not the value."""
    for index, account in enumerate(document.get("bankAccounts") or []):
        if account.get("iban") is not None and not _fits(account["iban"], iban):
            return f"The Iban of bankAccounts[{index}] is not a valid IBAN."
        if account.get("bicCode") is not None and not _fits(account["bicCode"], bic):
            return f"The BicCode of bankAccounts[{index}] is not a valid BIC."
    number = document.get("vatNumber")
    if number is not None and not _valid_vat(
        number, ((document.get("address") or {}).get("country") or {}).get("code")
    ):
        return "The VatNumber is not a valid VAT identification number."
    return None


def _fits(number: str, standard: ModuleType) -> bool:
    return len(number) <= _LONGEST and bool(standard.is_valid(number))


def _valid_vat(number: str, country: str | None) -> bool:
    if len(number) > _LONGEST:
        return False
    prefix = number.strip()[:2].casefold()
    if prefix in {*vat.MEMBER_STATES, "el"}:
        return bool(vat.is_valid(number))
    module = get_cc_module(country, "vat") if country else None
    try:
        return module is None or bool(module.validate(number))
    except ValidationError:
        return False
