"""Basecone's settings: environment variables `GATEWAY_BASECONE_…`."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from app.apis.api import ApiSettings


class BaseconeSettings(ApiSettings):
    url: str = Field(
        default="https://api.basecone.com/v1",
        description="Base URL of the REST API, with its version.",
        pattern=r"^https?://[^\s?#]+$",
    )
    client_identifier: str | None = Field(
        default=None, description="Client identifier of the registered app, for Basic authentication.", repr=False
    )
    api_access_key: SecretStr | None = Field(
        default=None, description="API access key of the user and app, for Basic authentication."
    )

    @field_validator("client_identifier")
    @classmethod
    def _no_colon(cls, value: str | None) -> str | None:
        # RFC 7617 section 2: a user-id with a colon cannot be sent.
        if value is not None and ":" in value:
            raise ValueError("must not contain a colon")
        return value
