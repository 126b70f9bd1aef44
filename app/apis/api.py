"""What an API package has to offer. The rest of the program knows an API only through this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Route

from app.errors import DocumentedError
from app.store.records import Collection, Record, Store
from app.updates.resource import Resource
from app.updates.roots import Roots
from app.upstream.messages import BackendResponse
from app.upstream.responses import code_member, parsed

if TYPE_CHECKING:
    from app.upstream.upstream import Upstream


class ApiSettings(BaseModel):
    """The settings of one API: a field `url` is the variable `GATEWAY_<API>_URL`. Each has a description."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    mode: Literal["local", "rest"] = Field(
        default="local",
        description="`local`: the store on this machine, which behaves as documented. `rest`: the real service.",
    )
    url: str
    sandbox: bool = Field(
        default=False,
        description="`true` says that the URL is a sandbox's, never a real service's: `x-simulate` is passed on there.",
    )
    vendor_domains: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def is_vendors(cls, host: str) -> bool:
        """Whether a host is the vendor's own, by the default URL and `vendor_domains`."""
        default = urlsplit(str(cls.model_fields["url"].default)).hostname or ""
        host = host.casefold().rstrip(".")
        return host == default or any(host == name or host.endswith(f".{name}") for name in cls.vendor_domains)


class Example(Struct, frozen=True, kw_only=True):
    """An operation on the store's first content: a tab of the playground, and a case of the contract suite.

    Variables have the names of the field's arguments. `reason` is the error that it shows; None where it succeeds. An
    API has a succeeding example for each of its mutations.
    """

    title: str
    operation: str
    variables: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    reason: str | None = None


def examples_of(file: Path) -> Callable[..., Example]:
    """Makes an example from its title, the name of an operation in a GraphQL document, and the variables."""
    operations = {text.split("(")[0].split()[1]: text.strip() for text in file.read_text("utf-8").split("\n\n")}

    def example(
        title: str,
        name: str,
        *,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Example:
        return Example(
            title=title, operation=operations[name], variables=variables, headers=headers or {}, reason=reason
        )

    return example


@dataclass(frozen=True, kw_only=True, eq=False)
class Api:
    """One backend API with all its parts. It needs to know nothing of another API.

    `resources` are its kinds of record, and `roots` their fields of the schema. `caller_headers` maps the request
    headers that carry a caller's own credentials to the backend's headers. `rest` and `local` build the two backends;
    one with a coroutine method `aclose` is closed with the gateway. `sandbox` builds the vendor's routes over the local
    backend, below `sandbox_path`. `sandbox_credentials` are the settings, beside the mode, that a gateway needs for a
    sandbox under a base URL. `examples` work on the seed.

    `python -m app check` reads a record of the first resource that does not exist. `recognises` tells an answer of this
    API from any other server's, by default by a `code` in it. `blame` names the settings that a reason points to, or a
    reason and the backend's code with a colon between.
    """

    name: str
    title: str
    errors: Sequence[DocumentedError]
    roots: Roots
    settings: type[ApiSettings]
    caller_headers: Mapping[str, str]
    collections: Sequence[Collection]
    seed: Callable[[], Iterable[tuple[Collection, Record]]]
    rest: Callable[[Any, Upstream], Any]
    local: Callable[[Any, Store], Any]
    sandbox: Callable[[Any, Store], Sequence[Route]]
    sandbox_credentials: Callable[[str], Mapping[str, str]]
    resources: Sequence[Resource] = ()
    recognises: Callable[[BackendResponse], bool] = lambda response: (
        code_member(parsed(response.body), "code") is not None
    )
    blame: Mapping[str, Sequence[str]] = field(default_factory=dict)
    examples: Sequence[Example] = ()
    sandbox_path: str = ""

    def sandbox_settings(self, url: str) -> Mapping[str, str]:
        """The settings that point a gateway at the sandbox under `url`."""
        return {"mode": "rest", "url": f"{url}{self.sandbox_path}", "sandbox": "true", **self.sandbox_credentials(url)}

    @property
    def mutations(self) -> Sequence[str]:
        """The GraphQL names of its mutations."""
        return self.roots.mutations

    @property
    def bulks(self) -> Sequence[str]:
        """The GraphQL names of its mutations of many records."""
        return self.roots.bulks

    @property
    def scopes(self) -> Mapping[str, str]:
        """The scope that each root field needs."""
        return self.roots.scopes
