"""The page at `GET /graphql`: GraphiQL, or a small page of our own where GraphiQL's files cannot be loaded.

Files that the build fetched are served from here. Without them the page loads them from a CDN, by digest; where that
fails or hangs, the browser starts our own page. No setting is needed.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.edge.playground.fetch import ASSETS, HERE, PINNED_FILES, PackageFile, present
from app.edge.playground.operations import Prepared, prepared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from app.apis.api import Api

CDN = "https://cdn.jsdelivr.net/npm/"
_OWN = ("page.css", "page.js", "list.js", "answer.js", "start.js")
_UNTIL_OWN_PAGE = {"own": 20_000, "cdn": 4_000}
# An address contains its content's digest, so that a browser never has to ask again.
_FOREVER = "public, max-age=31536000, immutable"
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>GraphQL playground</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{css}">
<script type="application/json" id="settings">{settings}</script>
{scripts}
</head>
<body>
<aside id="writes" aria-label="Where writes go">Writes go to {writes}</aside>
<div id="playground"><p class="wait" role="status">Loading GraphiQL &hellip;</p></div>
<noscript><p class="wait">This page needs JavaScript. The endpoint itself takes <code>POST</code> requests as GraphQL
over HTTP describes them.</p></noscript>
</body>
</html>
"""


class Playground:
    """`page` answers `GET /graphql`; `routes` serve the files that it loads, at addresses relative to it.

    `rest_hosts` are the hosts of the real services, by API name; an API not named has a local store.
    """

    def __init__(
        self,
        apis: Sequence[Api],
        assets: Path = ASSETS,
        files: Sequence[PackageFile] = PINNED_FILES,
        rest_hosts: Mapping[str, str] | None = None,
    ) -> None:
        self.operations: Sequence[Prepared] = prepared(apis)
        self._writes = " ".join(_written_to(api, (rest_hosts or {}).get(api.name)) for api in apis)
        self.served_from = "own" if present(assets, files) else "cdn"
        self._graphiql = files
        self._files = dict(_own_file(name) for name in _OWN)
        if self.served_from == "own":
            self._files |= {file.name: (assets / file.name).read_bytes() for file in files}
        self._html = self._page()
        self._policy = self._content_security_policy()
        self.routes: Sequence[BaseRoute] = (Route("/playground/assets/{name}", self._asset),)

    def page(self, _request: Request) -> Response:
        return HTMLResponse(self._html, headers={"content-security-policy": self._policy, "vary": "Accept"})

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404)
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, headers={"cache-control": _FOREVER}, media_type=media_type)

    def _page(self) -> str:
        css, *scripts = (f"playground/assets/{name}" for name, _ in map(_own_file, _OWN))
        operations = [operation.as_json() for operation in self.operations]
        settings = {
            "edition": hashlib.sha256(json.dumps(operations).encode()).hexdigest()[:16],
            "operations": operations,
            "files": self._addresses(),
            "milliseconds": _UNTIL_OWN_PAGE[self.served_from],
        }
        # Inside a script element only this character could end the data.
        data = json.dumps(settings, ensure_ascii=False).replace("<", "\\u003c")
        elements = "\n".join(f'<script src="{script}" defer></script>' for script in scripts)
        return _PAGE.format(css=css, scripts=elements, settings=data, writes=self._writes)

    def _addresses(self) -> list[dict[str, Any]]:
        if self.served_from == "own":
            return [{"url": f"playground/assets/{file.name}"} for file in self._graphiql]
        return [
            {"url": f"{CDN}{file.package}@{file.version}/{file.path}", "integrity": file.integrity}
            for file in self._graphiql
        ]

    def _content_security_policy(self) -> str:
        """GraphiQL needs no inline script and no eval. Its style sheet contains fonts and small images as data."""
        outside = [file["url"] for file in self._addresses() if "integrity" in file]
        scripts = ["'self'", *(url for url in outside if url.endswith(".js"))]
        styles = ["'self'", *(url for url in outside if url.endswith(".css"))]
        return "; ".join(
            (
                "default-src 'none'",
                "connect-src 'self'",
                f"script-src {' '.join(scripts)}",
                f"style-src {' '.join(styles)}",
                "font-src data:",
                "img-src 'self' data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )


def _written_to(api: Api, rest_host: str | None) -> str:
    if rest_host is None:
        return f"<strong>{escape(api.title)}: LOCAL STORE</strong>"
    return f'<strong class="rest">{escape(api.title)}: REST {escape(rest_host)}</strong>'


def _own_file(name: str) -> tuple[str, bytes]:
    content = (HERE / "static" / name).read_bytes()
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.{suffix}", content
