"""The issuer's keys, from a file or a URL. Of a token it knows only the key id."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from app.edge.auth.authenticator import KeysUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_KINDS: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_MAX_WAITING = 100
_MAX_UNKNOWN = 1000


def read_keys(content: bytes) -> KeySet:
    """Reads a JWKS, or one public key as PEM.

    Keys that check no signature are left out. Raises KeysUnavailableError.
    """
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return KeySet([_pem(content)])
        entries = json.loads(content.decode("utf-8-sig"))["keys"]
        signing = [item for item in entries if isinstance(item, dict) and item.get("use", "sig") == "sig"]
        return KeySet([key for item in signing if (key := _imported(item)) is not None])
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnavailableError(f"neither a JWKS nor a public key in PEM: {type(error).__name__}") from None


def _pem(content: bytes) -> RSAKey | ECKey | OKPKey:
    for kind in _KINDS.values():
        try:
            return kind.import_key(content)
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
    raise ValueError("no key of a known type")


def _imported(item: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    try:
        return _KINDS[item["kty"]].import_key(item)
    except (JoseError, ValueError, TypeError, KeyError):  # RFC 7517 section 5: a key that is not understood is ignored
        return None


class FixedKeys:
    """Keys from a file. `keys` may be replaced while requests are answered."""

    def __init__(self, keys: KeySet) -> None:
        self.keys = keys

    async def get(self, kid: str | None) -> KeySet:  # noqa: ARG002 - as FetchedKeys
        return self.keys


class FetchedKeys:
    """Keys from a URL, by `fetch`: cached for `lifetime`, one fetch at a time, at most one in `pause` seconds.

    Anyone can write a token with an unknown key id. Such an id causes one fetch and waits at most `wait` seconds,
    together with at most 100 others. The same id causes no other fetch for `lifetime` / 10. While the issuer cannot be
    reached, the current keys stay, and a token with one of them never waits.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        lifetime: float = 600.0,
        pause: float = 5.0,
        wait: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._pause = pause
        self._wait = wait
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._begun_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._failed = False
        self._waiting = 0
        self._unknown: TTLCache[str | None, bool] = TTLCache(_MAX_UNKNOWN, lifetime / 10, clock)

    async def get(self, kid: str | None) -> KeySet:
        """For an unknown `kid` the keys may be fetched again. Raises KeysUnavailableError."""
        has_key = self._knows(kid)
        if not has_key or self._clock() - self._fetched_at >= self._lifetime:
            self._ask(kid, has_key=has_key)
        if not has_key and self._fetching is not None and kid not in self._unknown:
            await self._wait_for(self._fetching)
            if not self._knows(kid) and not self._failed:
                self._unknown[kid] = True
        if self._keys is None or (self._failed and not self._knows(kid)):
            raise KeysUnavailableError("the issuer's keys could not be fetched")
        return self._keys

    def _knows(self, kid: str | None) -> bool:
        return self._keys is not None and (kid is None or any(key.kid == kid for key in self._keys))

    def _ask(self, kid: str | None, *, has_key: bool) -> None:
        now = self._clock()
        pauses = self._begun_at is not None and now - self._begun_at < self._pause
        if self._fetching is None and not pauses and (has_key or kid not in self._unknown):
            self._begun_at = now
            self._fetching = asyncio.create_task(self._refresh())

    async def _wait_for(self, fetching: asyncio.Task[None]) -> None:
        if self._waiting >= _MAX_WAITING:
            raise KeysUnavailableError("too many callers wait for the issuer's keys")
        self._waiting += 1
        try:
            # A caller that goes away must not end the fetch that others wait for.
            await asyncio.wait_for(asyncio.shield(fetching), self._wait)
        except TimeoutError:
            raise KeysUnavailableError(f"the issuer did not answer in {self._wait:g} s") from None
        finally:
            self._waiting -= 1

    async def _refresh(self) -> None:
        try:
            keys = read_keys(await self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys that are known stay
            # A failed call's detail says more than its text, which is for clients.
            why = getattr(error, "detail", None) or error
            self._failed = True
            log.warning("the keys to check callers' tokens with could not be fetched: %s", why)
        else:
            self._keys, self._fetched_at, self._failed = keys, self._clock(), False
        finally:
            self._fetching = None


Keys = FixedKeys | FetchedKeys
