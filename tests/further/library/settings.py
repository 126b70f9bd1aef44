"""The library's settings: environment variables `GATEWAY_LIBRARY_…`."""

from pydantic import Field

from app.apis.api import ApiSettings
from app.settings import BaseUrl, SecretKey


class LibrarySettings(ApiSettings):
    url: BaseUrl = Field(default="https://library.example", description="Base URL of the REST API.")
    api_key: SecretKey | None = Field(default=None, description="Key of the library, sent as `x-api-key`.")
