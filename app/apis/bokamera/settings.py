"""BokaMera's settings: environment variables `GATEWAY_BOKAMERA_…`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, SecretStr, model_validator

from app.apis.api import ApiSettings
from app.apis.bokamera import jsv
from app.apis.bokamera.errors import NAME
from app.json_codec import encode_json
from app.settings import BaseUrl, SecretKey, Url, Word
from app.upstream.credentials import key_and_bearer

if TYPE_CHECKING:
    from app.updates.rest import RestBackend
    from app.upstream.tokens import TokenSource
    from app.upstream.upstream import Upstream

_TOKEN_SETTINGS = ("token_url", "client_id", "username", "password")
_MEDIA = {"json": ("application/json", encode_json), "jsv": ("text/jsv", jsv.encode)}
# The settings that `check` names for a reason that BokaMera answers.
BLAME = {
    # The token was issued a moment ago, so that the key must be wrong.
    "NOT_AUTHENTICATED": ("api_key",),
    "UNDOCUMENTED_UNAUTHENTICATED": ("api_key",),
    "CREDENTIALS_MALFORMED": ("api_key",),
    "TOKEN_UNAVAILABLE": ("token_url",),
    "TOKEN_REFUSED": ("client_id", "username", "password"),
    # https://www.rfc-editor.org/rfc/rfc6749#section-5.2
    "TOKEN_REFUSED:invalid_client": ("client_id",),
    "TOKEN_REFUSED:unauthorized_client": ("client_id",),
    "TOKEN_REFUSED:invalid_grant": ("username", "password"),
}


class BokameraSettings(ApiSettings):
    # https://api.bookmore.com serves the same.
    vendor_domains = ("bokamera.se", "bookmore.com", "bookmore.dev")
    url: BaseUrl = Field(default="https://api.bokamera.se", description="Base URL of the REST API.")
    api_key: SecretKey | None = Field(default=None, description="API key of the company, sent as `x-api-key`.")
    format: Literal["json", "jsv"] = Field(
        default="json", description="What requests and answers are written in: `json`, or `jsv` (text/jsv)."
    )
    token_url: Url | None = Field(
        default=None,
        description="OpenID Connect token endpoint for a bearer of the gateway's own; needs the three settings below.",
        repr=False,
    )
    client_id: Word | None = Field(
        default=None, description="Client id at the token endpoint, for instance bm-external-api-users."
    )
    username: str | None = Field(default=None, description="User name at the token endpoint.", repr=False)
    password: SecretStr | None = Field(default=None, description="Password at the token endpoint.")

    @model_validator(mode="after")
    def _whole_token_source(self) -> Self:
        missing = [name for name in _TOKEN_SETTINGS if getattr(self, name) is None]
        if missing and len(missing) < len(_TOKEN_SETTINGS):
            present = [name for name in _TOKEN_SETTINGS if name not in missing]
            raise ValueError(f"{_names(missing)} not set, and belong together with {_names(present)}")
        return self


def _names(settings: list[str]) -> str:
    return ", ".join(settings).upper()


def _token_source(settings: BokameraSettings, upstream: Upstream) -> TokenSource | None:
    """OpenID Connect, the password grant: https://github.com/bokamera/api-examples."""
    if settings.token_url is None:
        return None
    assert settings.client_id is not None
    assert settings.username is not None
    assert settings.password is not None
    from app.upstream.tokens import TokenSource  # noqa: PLC0415 - as below

    return TokenSource(
        settings.token_url,
        settings.client_id,
        settings.username,
        settings.password.get_secret_value(),
        transport=upstream.transport,
        limits=upstream.limits,
        backend=NAME,
    )


def rest(settings: BokameraSettings, upstream: Upstream, tokens: TokenSource | None = None) -> RestBackend:
    from app.updates.rest import Languages, Media, RestBackend  # noqa: PLC0415 - loaded where the mode is rest

    media_type, encode = _MEDIA[settings.format]
    credentials = key_and_bearer(NAME, settings.api_key, tokens or _token_source(settings, upstream))
    media = Media(media_type, media_type, encode)
    return RestBackend(settings, upstream, credentials, media, languages=Languages("x-language", ("sv", "en")))
