"""Whom the gateway trusts over TLS: one context for backends, token endpoints and the issuer's keys.

A certificate and its name are always checked. No setting turns that off.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Trust:
    """`file` and `folders` (`SSL_CERT_FILE`, `SSL_CERT_DIR`) replace certifi's authorities; `further` adds to them."""

    file: str | None = None
    folders: str | None = None
    further: Path | None = None


@cache
def context_of(trust: Trust) -> ssl.SSLContext:
    """Raises OSError, or its subclass ssl.SSLError, for a file without certificates and a folder that is none."""
    for folder in (trust.folders or "").split(os.pathsep):
        if folder and not Path(folder).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    import certifi  # noqa: PLC0415 - loaded where the gateway calls somebody

    usual = certifi.where() if trust.file is None and trust.folders is None else None
    context = ssl.create_default_context(cafile=trust.file or usual, capath=trust.folders)
    if trust.further is not None:
        context.load_verify_locations(trust.further)
    return context


def unreadable(trust: Trust, *, calls: bool) -> Iterator[str]:
    """The settings that name no certificates. The process's own variables count only where it `calls` anybody."""
    named = {
        "GATEWAY_CA_FILE": Trust(further=trust.further),
        "SSL_CERT_FILE": Trust(file=trust.file) if calls else Trust(),
        "SSL_CERT_DIR": Trust(folders=trust.folders) if calls else Trust(),
    }
    for name, part in named.items():
        try:
            if part != Trust():
                context_of(part)
        except OSError:
            yield name
