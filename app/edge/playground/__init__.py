"""The page at `GET /graphql`: GraphiQL, or a small page of our own where GraphiQL's files cannot be loaded.

Files that the build fetched are served from here. Without them the page loads them from a CDN, by digest; where that
fails or hangs, the browser starts our own page. No setting is needed.
"""

import hashlib
import json
import mimetypes
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.apis.api import Api
from app.edge.playground.fetch import ASSETS, HERE, PINNED_FILES, PackageFile, present
from app.edge.playground.operations import as_json, prepared

CDN = "https://cdn.jsdelivr.net/npm/"
_STATIC = HERE / "static"
_OWN = ("page.css", "page.js", "list.js", "answer.js", "start.js")
_PATH = "playground/assets/"
# Milliseconds until the browser starts our own page, without a CDN and with one.
_PATIENCE, _PATIENCE_CDN = 20_000, 4_000
# An address contains its content's digest, so that a browser never has to ask again.
_FOREVER = "public, max-age=31536000, immutable"
# GraphiQL needs no inline script and no eval. Its style sheet contains fonts and small images as data.
_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src {scripts}; style-src {styles}; font-src data:; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


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
        self._files = dict(map(_own_file, _OWN))
        css, *scripts = (_PATH + name for name in self._files)
        if present(assets, files):
            self._files |= {file.name: (assets / file.name).read_bytes() for file in files}
            addresses = [{"url": _PATH + file.name} for file in files]
            outside = []
        else:
            outside = [f"{CDN}{file.package}@{file.version}/{file.path}" for file in files]
            addresses = [{"url": url, "integrity": file.integrity} for url, file in zip(outside, files, strict=True)]
        operations = [as_json(operation) for operation in prepared(apis)]
        settings = {
            "edition": hashlib.sha256(json.dumps(operations).encode()).hexdigest()[:16],
            "operations": operations,
            "files": addresses,
            "milliseconds": _PATIENCE_CDN if outside else _PATIENCE,
        }
        self._html = (
            (_STATIC / "page.html")
            .read_text(encoding="utf-8")
            .format(
                css=css,
                scripts="\n".join(f'<script src="{script}" defer></script>' for script in scripts),
                # Inside a script element only this character could end the data.
                settings=json.dumps(settings, ensure_ascii=False).replace("<", "\\u003c"),
                writes=" ".join(_written_to(api, (rest_hosts or {}).get(api.name)) for api in apis),
            )
        )
        self._policy = _POLICY.format(
            scripts=" ".join(("'self'", *(url for url in outside if url.endswith(".js")))),
            styles=" ".join(("'self'", *(url for url in outside if url.endswith(".css")))),
        )
        self.routes: Sequence[BaseRoute] = (Route(f"/{_PATH}{{name}}", self._asset),)

    def page(self, _request: Request) -> Response:
        return HTMLResponse(self._html, headers={"content-security-policy": self._policy, "vary": "Accept"})

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404)
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(self._files[name], headers={"cache-control": _FOREVER}, media_type=media_type)


def _written_to(api: Api, rest_host: str | None) -> str:
    if rest_host is None:
        return f"<strong>{escape(api.title)}: LOCAL STORE</strong>"
    return f'<strong class="rest">{escape(api.title)}: REST {escape(rest_host)}</strong>'


def _own_file(name: str) -> tuple[str, bytes]:
    content = (_STATIC / name).read_bytes()
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(content).hexdigest()[:16]}.{suffix}", content
