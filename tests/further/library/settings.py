"""The library's settings: environment variables `GATEWAY_LIBRARY_…`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from app.apis.api import ApiSettings


class LibrarySettings(ApiSettings):
    url: str = Field(
        default="https://library.example", description="Base URL of the REST API.", pattern=r"^https?://[^\s?#]+$"
    )
    api_key: SecretStr | None = Field(default=None, description="Key of the library, sent as `x-api-key`.")
