"""How an API package describes one kind of record: plain values and pure functions, no class to inherit from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from strawberry import UNSET

from app.call import CallContext
from app.errors import DocumentedError, GatewayFailure
from app.mapping.wire import Wire
from app.updates.expression import states
from app.updates.judging import body_of_json, only_record
from app.updates.proof import Proof, Read, compared
from app.updates.table import ErrorTable
from app.upstream.messages import BackendRequest, BackendResponse

if TYPE_CHECKING:
    from app.updates.listing import ListPage, ListRequest

# A resource's further arguments by their Python names, without null and absent ones.
Options = Mapping[str, Any]
# The path below the API's base URL, and the query.
Target = tuple[str, Sequence[tuple[str, str]]]


class Argument(Struct, frozen=True, kw_only=True):
    """An argument of a resource's root fields beside `id` and `input`, by its Python name.

    `before_input` is its place in the schema. `of_reads` gives it to the query as well.
    """

    name: str
    type: Any
    description: str
    default: Any = UNSET
    before_input: bool = False
    of_reads: bool = False


class Texts(Struct, frozen=True, kw_only=True):
    """Descriptions of a resource's root fields, of their arguments and of the payload."""

    query: str = ""
    mutation: str = ""
    id: str = ""
    input: str = ""
    payload: str = ""
    record: str = ""


class Patch(Struct, frozen=True, kw_only=True):
    """How a record is patched, if the API's PUT replaces.

    `left_out` names, case folded, members of a read that no request has. `client_members` are members of a request that
    only some clients may send: an update that does not send them leaves them as they are.
    """

    mutation: str
    input: type
    description: str
    left_out: Collection[str] = ()
    client_members: Collection[str] = ()


class UpdateRequest(Struct, frozen=True):
    """One update as plain values. `body` is the vendor's JSON, made from the Strawberry `input`.

    `patch` is the caller's patch, if there was one; `input` is then the whole input made from it. `read` is the record
    that was read before, if it was.
    """

    resource: Resource
    id: str
    body: Any
    options: Options
    input: Any = None
    expected_revision: str | None = None
    patch: Any = None
    read: Wire | None = None


class Backend(Protocol):
    """The port of every API, in the vendor's own JSON: rest.py over HTTP, local.py over the store.

    Raises GatewayError, or GatewayErrors for several errors of one request, with the outcome that is certain.
    """

    @property
    def clock_ahead(self) -> float | None:
        """How many seconds the backend's clock is ahead of the gateway's at most; None where that is not known."""
        ...

    async def update(self, request: UpdateRequest, *, call: CallContext) -> Wire | None:
        """The record that the vendor answers after an update; None where it answers none."""
        ...

    async def read(self, resource: Resource, record_id: str, options: Options, *, call: CallContext) -> Wire | None:
        """The whole record, None for an unknown id."""
        ...

    async def omitted(self, resource: Resource, names: Collection[str], *, call: CallContext) -> Collection[str]:
        """The `names` that this call may not send. Only some clients may send these members."""
        ...

    async def previewed(self, request: UpdateRequest, *, call: CallContext) -> BackendRequest:
        """The request that `update` would send. Raises everything that can be refused without writing."""
        ...

    async def page(self, request: ListRequest, *, call: CallContext) -> ListPage: ...


def plural(name: str) -> str:
    """The plural of a mutation's name: `updateSupplier` becomes `updateSuppliers`."""
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


async def _unchanged(read: Wire, _backend: Backend, _call: CallContext) -> Wire:
    return read


class Resource(Struct, frozen=True, kw_only=True, eq=False):
    """One kind of record of an API: how it is read, and how it is updated.

    `name` is the GraphQL name of the query and of the payload's field. `get` and `put` build the request's path and
    query from an id and the options.

    Answers: `refused` gives the error of an unsuccessful answer. `unknown` are the rows for a record that does not
    exist, and `missing_status` is that answer's status. `updated_status` is a successful update's: 204 answers nothing,
    any other answers the record. `body` gives a success's data, and raises where the data says that it is none. `pick`
    finds the requested record in the data of a read. One of `marks` tells a record from another object; () asks for
    none. A read is cached for `kept_seconds`, by credential, if `keeps` says so.

    Proof: `completed` adds to a read what a request names and the read does not, such as the code for an id. A record
    that was read back proves an update if all members are equal, none is left over where an update replaces the record,
    the record changed `since`, and the update is `evident`: a read shows all of it, which nothing is unless the API
    says so. `proves` decides instead where that does not suffice; after a crash only digests of the sent members are
    known.

    `check` raises for an input that the request cannot express. `patch` says how the record is patched, where an update
    replaces it. `after` gives the record's members before and after an update, under GraphQL names, from a read.
    `base_path` is the path of the vendor's base URL.
    """

    api: str
    name: str
    id_member: str
    table: ErrorTable
    get: Callable[[str, Options], Target]
    refused: Callable[[BackendResponse], GatewayFailure] | None = None
    unknown: Collection[DocumentedError] = ()
    missing_status: int = 404
    marks: Sequence[str] = ()
    body: Callable[[BackendResponse], Any] = body_of_json
    pick: Callable[[BackendResponse, Any, str], Wire | None] = only_record
    kept_seconds: float = 0.0
    keeps: Callable[[Wire], bool] = bool
    # Only for records that are fields of the schema.
    record: type = object
    # Only for updates.
    mutation: str = ""
    scope: str = ""
    texts: Texts = Texts()
    input: type = object
    arguments: Sequence[Argument] = ()
    put: Callable[[str, Options], Target] | None = None
    updated_status: int = 200
    check: Callable[[Any], None] = lambda _input: None
    completed: Callable[[Wire, Backend, CallContext], Awaitable[Wire]] = _unchanged
    proves: Callable[[UpdateRequest, Read], Proof] = compared
    evident: Callable[[UpdateRequest], bool] = lambda _request: False
    since: Callable[[Read], bool] = lambda _read: True
    patch: Patch | None = None
    after: Callable[[Wire, UpdateRequest], tuple[Mapping[str, Any], Mapping[str, Any]]] = states
    base_path: str = ""

    @property
    def mutations(self) -> tuple[str, ...]:
        return (self.mutation,) if self.patch is None else (self.mutation, self.patch.mutation)

    @property
    def bulks(self) -> tuple[str, ...]:
        """The same for many records, in the same order."""
        return tuple(map(plural, self.mutations))

    def error(self, response: BackendResponse) -> GatewayFailure:
        """The error of an unsuccessful answer: as the API says, otherwise by its table in the most common envelope."""
        return self.table.error_of_json(self.mutation, response) if self.refused is None else self.refused(response)

    def simulated(self, reason: str | None) -> DocumentedError | None:
        """The row that `x-simulate` requests for this resource's update."""
        return None if reason is None else self.table.by_reason.get((self.mutation, reason))
