"""The library's settings: environment variables `GATEWAY_LIBRARY_…`."""

from pydantic import Field, SecretStr

from app.apis.api import ApiSettings
from app.apis.library.errors import NAME
from app.updates.rest import RestBackend
from app.upstream.credentials import key
from app.upstream.upstream import Upstream


class LibrarySettings(ApiSettings):
    url: str = Field(
        default="https://library.example", description="Base URL of the REST API.", pattern=r"^https?://[^\s?#]+$"
    )
    api_key: SecretStr | None = Field(default=None, description="Key of the library, sent as `x-api-key`.")


def rest(settings: LibrarySettings, upstream: Upstream) -> RestBackend:
    return RestBackend(settings, upstream, key(NAME, settings.api_key))
