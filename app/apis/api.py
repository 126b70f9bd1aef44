"""What an API package must offer. The rest of the program knows an API only through this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from starlette.routing import Route

    from app.errors import DocumentedError
    from app.store.records import Collection, Record, Store
    from app.upstream.upstream import Upstream


class ApiSettings(BaseModel):
    """The settings of one API. A field `url` is the environment variable `GATEWAY_<API>_URL`. Each has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["local", "rest"] = "local"


@dataclass(frozen=True, kw_only=True)
class Api:
    """One backend API: everything it brings, and nothing that it needs to know of another.

    `caller_headers` names the request headers that carry a caller's own credentials, and the header each becomes at
    the backend. `mutations` are the GraphQL names of its mutations. `rest` and `local` build the two backends behind
    the package's port; `sandbox` builds the vendor's routes over the local one, below `sandbox_path`.
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
    sandbox_path: str = ""
    entities: Sequence[type] = field(default=())


def own_credentials(settings: ApiSettings, names: Sequence[str]) -> bool:
    """Whether the gateway has credentials of its own for an API: every named setting is given."""
    return all(getattr(settings, name) is not None for name in names)
