"""BokaMera's settings: environment variables `GATEWAY_BOKAMERA_…`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from app.apis.api import ApiSettings

_TOKEN_SETTINGS = ("token_url", "client_id", "username", "password")


class BokameraSettings(ApiSettings):
    url: str = Field(
        default="https://api.bokamera.se", description="Base URL of the REST API.", pattern=r"^https?://[^\s?#]+$"
    )
    api_key: SecretStr | None = Field(default=None, description="API key of the company, sent as `x-api-key`.")
    format: Literal["json", "jsv"] = Field(
        default="json", description="What requests and answers are written in: `json`, or `jsv` (text/jsv)."
    )
    token_url: str | None = Field(
        default=None,
        description="OpenID Connect token endpoint for a bearer of the gateway's own; needs the three settings below.",
        pattern=r"^https?://[^\s?#]+$",
        repr=False,
    )
    client_id: str | None = Field(
        default=None, description="Client id at the token endpoint, for instance bm-external-api-users."
    )
    username: str | None = Field(default=None, description="User name at the token endpoint.", repr=False)
    password: SecretStr | None = Field(default=None, description="Password at the token endpoint.")

    @model_validator(mode="after")
    def _whole_token_source(self) -> Self:
        missing = [name for name in _TOKEN_SETTINGS if getattr(self, name) is None]
        if missing and len(missing) < len(_TOKEN_SETTINGS):
            raise ValueError(f"{', '.join(_TOKEN_SETTINGS)} belong together; missing: {', '.join(missing)}")
        return self
