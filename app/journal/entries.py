"""The journal's record of an update, as values and as rows of its table. It never holds a value of a record.

SENDING (outcome None) -> APPLIED | NOT_APPLIED | UNKNOWN; after that only UNKNOWN -> APPLIED
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from app.errors import BackendDetails, Code, DocumentedError, GatewayError, GatewayFailure, Outcome
from app.journal.hashes import Proof
from app.json_codec import encode_json
from app.store.entry_table import begun_of
from app.store.records import Row


class Key(Struct, frozen=True):
    """An idempotency key. `claim` names its owner and mutation, `digest` its request; both are hashed."""

    value: str
    claim: str
    digest: str


class Intent(Struct, frozen=True, kw_only=True):
    """An update that is about to be sent. `person` and `account` are hashed.

    `deadline` is in milliseconds since 1970: after it nothing of the update is on its way to the backend. `sent_fields`
    are names of the input. `proof` lets a record that is read later show that the update was applied.
    """

    request_id: str
    mutation: str
    record_id: str
    backend: str
    deadline: int
    sent_fields: tuple[str, ...] = ()
    company_id: str | None = None
    caller: str | None = None
    person: str | None = None
    account: str | None = None
    position: int | None = None
    key: Key | None = None
    proof: Proof | None = None


class EndError(Struct, frozen=True, omit_defaults=True):
    """One error of an end, without its text."""

    code: str
    reason: str
    path: tuple[str | int, ...] | None = None
    outcome: str | None = None
    status: int | None = None
    vendor_code: str | None = None
    backend: str | None = None

    @classmethod
    def of(cls, error: GatewayError) -> EndError:
        response = error.backend
        return cls(
            error.row.code.value,
            error.row.reason,
            error.input_path,
            None if error.outcome is None else error.outcome.value,
            None if response is None else response.status,
            error.row.vendor_code if response is None else response.code or error.row.vendor_code,
            None if response is None else response.name,
        )

    def error(self, rows: Mapping[tuple[str, str | None], DocumentedError], mutation: str) -> GatewayError:
        """The error again, with its row's own text. If this version no longer has the row, the error keeps its code."""
        row = rows.get((self.reason, mutation)) or rows.get((self.reason, None))
        if row is None:
            row = DocumentedError(reason=self.reason, code=Code(self.code), text="The backend refused the request.")
        response = None
        if self.backend is not None:
            text = row.text if self.status is not None else None
            response = BackendDetails(self.backend, self.status, self.vendor_code, text)
        outcome = None if self.outcome is None else Outcome(self.outcome)
        return GatewayError(row, backend=response, input_path=self.path, outcome=outcome)


class End(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fate of an update. `at`: milliseconds since 1970. `gone`: nobody waited for the answer any more."""

    at: int
    outcome: str
    errors: tuple[EndError, ...] = field(default=(), name="faults")
    status: int | None = None
    read_back: str | None = None
    gone: bool = False
    frees_key: bool = False

    @classmethod
    def failed(cls, error: GatewayFailure, at: int, *, gone: bool = False) -> End:
        """A `NOT_APPLIED` whose cause may pass frees the key."""
        errors = error.errors
        outcomes = {one.outcome for one in errors}
        outcome = Outcome.UNKNOWN if Outcome.UNKNOWN in outcomes or outcomes == {None} else Outcome.NOT_APPLIED
        response = errors[0].backend
        return cls(
            at=at,
            outcome=outcome.value,
            errors=tuple(map(EndError.of, errors)),
            status=None if response is None else response.status,
            read_back=None if errors[0].read_back is None else errors[0].read_back.value,
            gone=gone,
            frees_key=outcome is Outcome.NOT_APPLIED and all(one.retry_safe for one in errors),
        )


class _IntentMembers(Struct, omit_defaults=True):
    """The members of an intent that no query selects by."""

    backend: str
    deadline: int
    fields: tuple[str, ...] = ()
    company: str | None = None
    account: str | None = None
    position: int | None = None


_intents = msgspec.json.Decoder(_IntentMembers)
_proofs = msgspec.json.Decoder(Proof)
_ends = msgspec.json.Decoder(End)


class Entry(Struct, frozen=True):
    """An entry as it is read. `end` None: SENDING."""

    id: str
    intent: Intent
    holder: int | None
    due: int | None
    end: End | None
    replayed: int

    @property
    def begun_at(self) -> float:
        """Seconds since 1970."""
        return begun_of(self.id) / 1000

    @property
    def begun(self) -> datetime:
        return datetime.fromtimestamp(begun_of(self.id) / 1000, UTC)

    @property
    def ended(self) -> datetime | None:
        return None if self.end is None else datetime.fromtimestamp(self.end.at / 1000, UTC)


def comparable(text: str) -> str:
    """A text that no engine refuses: what it can only be compared with has neither NUL nor halves of characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def row_of(identifier: str, intent: Intent, holder: int | None, due: int | None, end: End | None = None) -> Row:
    """The columns of the table, in their order."""
    members = _IntentMembers(
        intent.backend, intent.deadline, intent.sent_fields, intent.company_id, intent.account, intent.position
    )
    key = intent.key
    held = key if end is None or not end.frees_key else None
    return (
        identifier,
        intent.request_id,
        intent.record_id,
        None if key is None else key.value,
        None if held is None else held.claim,
        None if held is None else held.digest,
        None if intent.caller is None else comparable(intent.caller),
        intent.person or "",
        intent.mutation,
        holder,
        due,
        None if end is None else end.outcome,
        0,
        encode_json(members).decode(),
        None if end is not None or intent.proof is None else encode_json(intent.proof).decode(),
        None if end is None else text_of(end),
    )


def text_of(end: End) -> str:
    return encode_json(end).decode()


def entry_of(row: Row) -> Entry:
    identifier, request_id, record_id, key, claim, digest, caller, person, mutation, *rest = row
    holder, due, _, replayed, intent_text, proof_text, end_text = rest
    members: Any = _intents.decode(intent_text)
    intent = Intent(
        request_id=request_id,
        mutation=mutation,
        record_id=record_id,
        backend=members.backend,
        deadline=members.deadline,
        sent_fields=members.fields,
        company_id=members.company,
        caller=caller,
        person=person or None,
        account=members.account,
        position=members.position,
        key=None if key is None else Key(key, claim or "", digest or ""),
        proof=None if proof_text is None else _proofs.decode(proof_text),
    )
    return Entry(identifier, intent, holder, due, None if end_text is None else _ends.decode(end_text), replayed)
