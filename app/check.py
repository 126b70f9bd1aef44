"""`python -m app check`: reads the settings, tries them without changing anything, and reports what is wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import urlsplit

from app.apis.api import Api
from app.bootstrap import create_app, entrance_of, limits_of
from app.call import CallContext
from app.config import PREFIX, Settings, SettingsError, authenticates, check_settings, is_loopback, read_settings
from app.edge.auth.authenticator import KeysUnavailableError
from app.errors import Code, GatewayError, GatewayFailure
from app.graphql.schema import Schema
from app.rights import rights_of
from app.server.serving import ServerError, bound_socket
from app.store.engine import look_at, open_store
from app.store.records import Record, StoreUnavailableError
from app.telemetry.drift import UNDOCUMENTED, as_row, as_sample, listed
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.upstream import Upstream

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

State = Literal["ok", "warning", "failed"]
_MOST_SKEW = 30.0
_LEAST_SECRET = 16
_WIDTH = len("warning") + 2
_NOBODY = "00000000-0000-0000-0000-000000000000"
_OF_TRACES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


@dataclass(frozen=True, slots=True)
class Finding:
    """`settings` names the settings to look at."""

    subject: str
    state: State
    text: str
    settings: tuple[str, ...] = ()


class _Watched(Upstream):
    """Remembers the last answer, and how far its server's clock was ahead."""

    response: BackendResponse | None = None
    skew: float | None = None

    def answered(self, response: BackendResponse, call: CallContext) -> bool:
        self.response = response
        self.skew = _skew(response.headers, time.time())
        return super().answered(response, call)


def _skew(headers: Mapping[str, str], now: float) -> float | None:
    """RFC 9110 section 6.6.1: a `Date` has whole seconds, so that a smaller difference says nothing."""
    try:
        skew = parsedate_to_datetime(headers.get("date", "")).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return math.copysign(max(0.0, abs(skew) - 1.0), skew)


async def findings(
    apis: Sequence[Api],
    environment: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    schema: Schema | None = None,
) -> list[Finding]:
    """All findings, in the order of the table. `schema` is that of the APIs, where it is built already."""
    try:
        settings = read_settings(apis, environment, env_file)
        check_settings(settings, apis)
        create_app(replace(settings, traces=False, metrics_folder=None), apis, schema=schema)
    except SettingsError as error:
        return [_of_problem(problem) for problem in error.problems]
    results = [Finding("settings", "ok", "known and well formed"), _address(settings), await _store(settings, apis)]
    skews: dict[str, float] = {}
    # One after the other, so that the log lines of a failure stand together.
    for api in apis:
        results += await _backend(settings, api, (transports or {}).get(api.name), skews)
    return [*results, _clock(skews), await _callers(settings, apis, transports), _router(settings), *_traces(settings)]


def _of_problem(problem: str) -> Finding:
    name = problem.replace(":", " ").split()[0]
    return Finding("settings", "failed", problem, (name,) if name.startswith(PREFIX) else ())


def _address(settings: Settings) -> Finding:
    """Whether the address is this machine's. The port may be in use by the gateway that is being checked."""
    host = settings.gateway.host
    try:
        bound_socket(host, 0).close()
    except ServerError as error:
        return Finding("address", "failed", str(error), ("GATEWAY_HOST",))
    return Finding("address", "ok", f"{host} is an address of this machine")


async def _store(settings: Settings, apis: Sequence[Api]) -> Finding:
    local = [api.title for api in apis if settings.apis[api.name].mode == "local"]
    use = f"used by {', '.join(local)}" if local else "counts undocumented answers only"
    failed: State = "failed" if local else "warning"
    name = ("GATEWAY_STORE_URL",)
    try:
        there = await look_at(settings.gateway.store_url)
    except StoreUnavailableError as error:
        return Finding("store", failed, str(error), name)
    state = "will be created when it is first used" if there is None else "can be opened"
    return Finding("store", "ok", f"{state}; {use}")


async def _backend(
    settings: Settings, api: Api, transport: httpx.AsyncBaseTransport | None, skews: dict[str, float]
) -> list[Finding]:
    own = settings.apis[api.name]
    if own.mode == "local":
        return [Finding(api.name, "ok", "local: the store on this machine")]
    upstream = _Watched(api.name, own.url, limits_of(settings), transport)
    backend = api.rest(own, upstream)
    try:
        probed = await _probed(api, backend, upstream)
        if probed.state != "ok":
            return [probed]
        rights = await rights_of(api, backend, CallContext("check"))
        return [probed, Finding(f"{api.name} rights", "ok" if rights.complete else "warning", str(rights))]
    finally:
        if upstream.skew is not None:
            skews[api.name] = upstream.skew
        if hasattr(backend, "aclose"):
            await backend.aclose()
        await upstream.aclose()


async def _probed(api: Api, backend: Any, upstream: _Watched) -> Finding:
    call = CallContext("check")
    try:
        if not backend.credentials.complete:
            await upstream.send(BackendRequest("GET", "/"), call)
            text = "reachable; the gateway has no complete credentials of its own, so that callers must bring theirs"
            return Finding(api.name, "warning", text)
        # The read finds nothing, and changes nothing.
        await backend.read(api.resources[0], _NOBODY, {}, call=call)
    except GatewayFailure as error:
        first = error.errors[0]
        return _failure(api, first, upstream.response)
    if upstream.response is None or not api.recognises(upstream.response):
        return Finding(api.name, "failed", f"what answers there is not {api.title}", _named(api, ("url",)))
    return Finding(api.name, "ok", "reachable, credentials accepted")


def _failure(api: Api, error: GatewayError, response: BackendResponse | None) -> Finding:
    reason = error.row.reason
    code = error.backend.code if error.backend is not None else None
    text = f"{error.message} ({reason})" if error.detail is None else f"{error.message} ({reason}: {error.detail})"
    blamed = api.blame.get(f"{reason}:{code}") or api.blame.get(reason)
    if blamed is None and error.row.code is Code.FORBIDDEN:
        return Finding(api.name, "warning", f"reachable, credentials accepted, but the read is not allowed: {text}")
    if response is not None and not api.recognises(response) and error.row.code is not Code.UNAUTHENTICATED:
        return Finding(api.name, "failed", f"what answers there is not {api.title}: {text}", _named(api, ("url",)))
    return Finding(api.name, "failed", text, _named(api, blamed or ("url",)))


def _named(api: Api, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{PREFIX}{api.name}_{name}".upper() for name in names)


def _clock(skews: Mapping[str, float]) -> Finding:
    if not skews:
        return Finding("clock", "ok", "not compared: no backend was asked")
    name, most = max(skews.items(), key=lambda item: abs(item[1]))
    if abs(most) <= _MOST_SKEW:
        return Finding("clock", "ok", "agrees with the backends'")
    side = "ahead of" if most > 0 else "behind"
    return Finding(
        "clock", "failed", f"{name}'s clock is {abs(most):.0f} seconds {side} this machine's: tokens may be refused"
    )


async def _callers(
    settings: Settings, apis: Sequence[Api], transports: Mapping[str, httpx.AsyncBaseTransport] | None
) -> Finding:
    gateway = settings.gateway
    if not authenticates(gateway):
        if is_loopback(f"http://{gateway.host}"):
            return Finding("callers", "ok", "anyone on this machine may call")
        text = "anyone who reaches this machine may call; set GATEWAY_CALLER_TOKENS or GATEWAY_JWT_ISSUER"
        return Finding("callers", "warning", text, ("GATEWAY_CALLER_TOKENS",))
    entrance = entrance_of(settings, apis, (transports or {}).get("issuer"))
    try:
        if entrance.issuer is not None:
            await entrance.issuer.keys.get(None)
    except KeysUnavailableError as error:
        return Finding("callers", "failed", f"{error}", ("GATEWAY_JWT_JWKS_URL",))
    finally:
        await entrance.aclose()
    names = list(dict.fromkeys(token.caller.name for token in entrance.static.tokens))
    kinds = [f"static tokens of {', '.join(names)}"] if names else []
    kinds += [f"tokens of {urlsplit(gateway.jwt_issuer).hostname or gateway.jwt_issuer}"] if gateway.jwt_issuer else []
    return Finding("callers", "ok", f"authenticated by {' and '.join(kinds)}")


def _traces(settings: Settings) -> Iterator[Finding]:
    if not settings.traces:
        return
    if all(_installed(name) for name in _OF_TRACES):
        yield Finding("traces", "ok", "exported as the variables OTEL_… say; whether they arrive was not tried")
    else:
        state: State = "failed" if settings.gateway.traces else "warning"
        text = "OpenTelemetry is not installed; install the extra `traces`"
        yield Finding("traces", state, text, ("GATEWAY_TRACES",))


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False


def _router(settings: Settings) -> Finding:
    name = ("GATEWAY_ROUTER_SECRET",)
    secret = settings.gateway.router_secret
    if secret is None:
        state: State = "warning" if settings.gateway.production else "ok"
        return Finding(
            "router", state, "no secret: any caller may ask for _service and _entities", name if state != "ok" else ()
        )
    value = secret.get_secret_value()
    if not value.isascii() or not value.isprintable() or value != value.strip():
        return Finding("router", "failed", "the secret cannot be sent as a header", name)
    if len(value) < _LEAST_SECRET:
        return Finding("router", "warning", f"the secret is shorter than {_LEAST_SECRET} characters", name)
    return Finding("router", "ok", "a secret is demanded for _service and _entities")


def table(results: Sequence[Finding]) -> Iterator[str]:
    width = max(len(item.subject) for item in results)
    for item in results:
        named = [name for name in item.settings if name not in item.text]
        tail = f"  [{', '.join(named)}]" if named else ""
        yield f"{item.state:<{_WIDTH}}{item.subject:<{width + 1}}{item.text}{tail}"


def check(apis: Sequence[Api], out: TextIO, *, as_json: bool) -> int:
    """Writes the findings. Returns the exit code: 1 when any failed."""
    results = asyncio.run(findings(apis))
    if as_json:
        out.write(json.dumps([asdict(item) for item in results], indent=2) + "\n")
    else:
        out.writelines(f"{line}\n" for line in table(results))
    return int(any(item.state == "failed" for item in results))


def undocumented(apis: Sequence[Api], out: TextIO, *, as_json: bool) -> int:
    """Writes the answers that match no documented row, in a form that can be added to the rows.

    Raises SettingsError, StoreUnavailableError.
    """
    settings = read_settings(apis)
    records = asyncio.run(_stored_records(settings, apis))
    if as_json:
        entries = [{"fingerprint": item.id, **item.document, "row": as_row(item)} for item in records]
        out.write(json.dumps(entries, indent=2, default=str, ensure_ascii=False) + "\n")
        return 0
    if not records:
        out.write("No undocumented answers were met.\n")
    out.writelines(
        f"{as_row(item)}\n# a sample: {item.document.get('status')}-{item.id}.json\n{as_sample(item)}\n\n"
        for item in records
    )
    return 0


async def _stored_records(settings: Settings, apis: Sequence[Api]) -> list[Record]:
    if UNDOCUMENTED.name not in (await look_at(settings.gateway.store_url) or ()):
        return []
    store = await open_store(settings.gateway.store_url, [UNDOCUMENTED], [])
    try:
        return await listed(store, [api.name for api in apis])
    finally:
        await store.aclose()
