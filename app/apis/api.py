"""What an API package must offer. The rest of the program knows an API only through this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from starlette.routing import Route

    from app.errors import DocumentedError
    from app.store.records import Collection, Record, Store
    from app.upstream.upstream import Upstream


class ApiSettings(BaseModel):
    """The settings of one API. A field `url` is the environment variable `GATEWAY_<API>_URL`. Each has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: Literal["local", "rest"] = Field(
        default="local", description="`local`: the store on this machine, which behaves as documented. `rest`: the real service."
    )
    url: str


@dataclass(frozen=True, kw_only=True)
class Api:
    """One backend API: everything it brings, and nothing that it needs to know of another.

    `caller_headers` names the request headers that carry a caller's own credentials, and the header each becomes at
    the backend. `mutations` are the GraphQL names of its mutations. `rest` and `local` build the two backends behind
    the package's port (one with a coroutine method `aclose` is closed with the gateway); `sandbox` builds the vendor's
    routes over the local one, below `sandbox_path`; `sandbox_settings` are the settings that point a gateway at a
    sandbox under a base URL.
    """

    name: str
    title: str
    errors: Sequence[DocumentedError]
    mutations: Sequence[str]
    settings: type[ApiSettings]
    caller_headers: Mapping[str, str]
    query: type
    mutation: type
    collections: Sequence[Collection]
    seed: Callable[[], Iterable[tuple[Collection, Record]]]
    rest: Callable[[Any, Upstream], Any]
    local: Callable[[Any, Store], Any]
    sandbox: Callable[[Any, Store], Sequence[Route]]
    sandbox_settings: Callable[[str], Mapping[str, str]]
    sandbox_path: str = ""
