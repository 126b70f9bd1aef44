"""Basecone's settings: environment variables `GATEWAY_BASECONE_…`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from app.apis.api import ApiSettings
from app.apis.basecone.errors import NAME
from app.settings import BaseUrl, Key, SecretKey, Words
from app.upstream.credentials import basic, basic_user

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from app.updates.rest import RestBackend
    from app.upstream.upstream import Upstream

# The settings that `check` names for a reason that Basecone answers.
BLAME = {
    "AUTHORIZATION_HEADER_INVALID": ("client_identifier", "api_access_key"),
    "CREDENTIALS_UNAUTHORIZED": ("client_identifier",),
    "CREDENTIALS_INVALID": ("api_access_key",),
    "UNDOCUMENTED_UNAUTHENTICATED": ("client_identifier", "api_access_key"),
    "CREDENTIALS_MALFORMED": ("client_identifier", "api_access_key"),
}


class BaseconeSettings(ApiSettings):
    vendor_domains = ("basecone.com",)
    url: BaseUrl = Field(
        default="https://api.basecone.com/v1", description="Base URL of the REST API, with its version."
    )
    client_identifier: Key | None = Field(
        default=None, description="Client identifier of the registered app, for Basic authentication.", repr=False
    )
    api_access_key: SecretKey | None = Field(
        default=None, description="API access key of the user and app, for Basic authentication."
    )

    wkbelgium_clients: Words = Field(
        default=("*",),
        description="Client identifiers of WKBelgium, comma-separated, `*` for all: a patch sends a customer's `code` "
        "as it was read for these clients alone.",
    )

    @field_validator("client_identifier")
    @classmethod
    def _no_colon(cls, value: str | None) -> str | None:
        # RFC 7617 section 2: a user-id with a colon cannot be sent.
        if value is not None and ":" in value:
            raise ValueError("must not contain a colon")
        return value


def rest(settings: BaseconeSettings, upstream: Upstream) -> RestBackend:
    from app.updates.rest import RestBackend  # noqa: PLC0415 - loaded where the mode is rest

    clients = {name.casefold() for name in settings.wkbelgium_clients}

    def omits(headers: Mapping[str, str]) -> Collection[str]:
        sends = "*" in clients or basic_user(headers.get("authorization", "")).casefold() in clients
        return () if sends else ("code",)

    credentials = basic(NAME, settings.client_identifier, settings.api_access_key)
    return RestBackend(settings, upstream, credentials, omits=omits)
