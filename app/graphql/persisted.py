"""Documents that a client names and does not send: Apollo's automatic persisted queries, and trusted documents.

APQ: https://www.apollographql.com/docs/apollo-server/performance/apq. Trusted documents are read once: from a folder of
.graphql files, from Apollo's persisted query manifest, or from the map of ids that Relay and graphql-codegen write.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from app.graphql.request_errors import (
    DOCUMENT_NOT_TRUSTED,
    PERSISTED_QUERY_MALFORMED,
    PERSISTED_QUERY_MISMATCH,
    PERSISTED_QUERY_NOT_FOUND,
    PERSISTED_QUERY_NOT_SUPPORTED,
    REQUEST_MALFORMED,
    request_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{64}")
_MANIFEST_FORMAT = "apollo-persisted-query-manifest"


class ManifestError(ValueError):
    """The file or folder of trusted documents cannot be used; the text says why, in one line."""


def digest(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()


def _identifier(identifier: str) -> str:
    """The id without the prefix that GraphQL over HTTP allows; a hash is in lower case."""
    plain = identifier.removeprefix("sha256:")
    return plain.lower() if _HASH.fullmatch(plain.lower()) else plain


def read_trusted(path: Path) -> dict[str, str]:
    """Documents by id. In a folder the id is the SHA-256 of the text. Raises ManifestError."""
    try:
        if path.is_dir():
            texts = [item.read_text(encoding="utf-8") for item in sorted(path.rglob("*.graphql"))]
            # Clients hash the text with or without the final line break that editors add.
            documents = {digest(form): text for text in texts for form in (text, text.strip())}
        else:
            documents = _manifest(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ManifestError(f"cannot read the trusted documents: {error}") from error
    if not documents:
        raise ManifestError("the trusted documents are empty")
    return documents


def _manifest(content: Any) -> dict[str, str]:
    if isinstance(content, dict) and content.get("format") == _MANIFEST_FORMAT:
        operations = content.get("operations")
        if content.get("version") != 1 or not isinstance(operations, list):
            raise ManifestError("a persisted query manifest needs version 1 and a list of operations")
        usable = all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in operations)
        content = {item["id"]: item.get("body") for item in operations} if usable else None
    if not isinstance(content, dict) or not all(isinstance(part, str) for item in content.items() for part in item):
        raise ManifestError("a manifest of trusted documents maps each id to a document")
    return {_identifier(key): text for key, text in content.items()}


class PersistedDocuments:
    """Finds the document of a request.

    `trusted` are always known; `strict` lets nothing else run. `automatic` is the number of documents that clients may
    register, 0 turns that off; the least recently used goes first, and none longer than `max_length` is kept.
    """

    def __init__(
        self,
        *,
        trusted: Mapping[str, str] | None = None,
        strict: bool = False,
        automatic: int = 1000,
        max_length: int = 65_536,
    ) -> None:
        self._trusted = dict(trusted or {})
        self._texts = frozenset(self._trusted.values()) | {text.strip() for text in self._trusted.values()}
        self._strict = strict
        self._automatic = 0 if strict else automatic
        self._max_length = max_length
        self._registered: LRUCache[str, str] = LRUCache(self._automatic)

    def __len__(self) -> int:
        return len(self._registered)

    def source(self, query: str | None, extensions: Mapping[str, Any], document_id: str | None = None) -> str:
        """The text of the document to run. Raises RequestError."""
        identifier = _hash_of(extensions) if extensions else None
        if query is not None:
            if identifier is not None and digest(query) != identifier:
                raise request_error(PERSISTED_QUERY_MISMATCH)
            if self._strict and query.strip() not in self._texts:
                raise request_error(DOCUMENT_NOT_TRUSTED)
            return query
        identifier = identifier or (_identifier(document_id) if document_id is not None else None)
        if identifier is None:
            raise request_error(REQUEST_MALFORMED, "The request has no query.")
        if identifier in self._trusted:
            return self._trusted[identifier]
        if self._strict:
            raise request_error(DOCUMENT_NOT_TRUSTED)
        registered = self._registered.get(identifier)
        if registered is not None:
            return registered
        raise request_error(PERSISTED_QUERY_NOT_FOUND if self._automatic else PERSISTED_QUERY_NOT_SUPPORTED)

    def accepted(self, query: str | None, extensions: Mapping[str, Any]) -> None:
        """Registers a document that the request named by hash, once the document has proved valid."""
        if query is None or not self._automatic or len(query) > self._max_length:
            return
        identifier = _hash_of(extensions)
        if identifier is None:
            return
        self._registered[identifier] = query


def _hash_of(extensions: Mapping[str, Any]) -> str | None:
    """The hash that `extensions.persistedQuery` names."""
    persisted_query = extensions.get("persistedQuery")
    if persisted_query is None:
        return None
    hash_ = persisted_query.get("sha256Hash") if isinstance(persisted_query, dict) else None
    if not isinstance(hash_, str) or persisted_query.get("version") != 1 or not _HASH.fullmatch(hash_.lower()):
        raise request_error(PERSISTED_QUERY_MALFORMED)
    return hash_.lower()
