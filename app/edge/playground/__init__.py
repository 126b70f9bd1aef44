"""The page at `GET /graphql`: GraphiQL, or a small page of our own where GraphiQL's files cannot be loaded.

Files that the build fetched are served from here. Without them the page loads them from a CDN, by digest; where that
fails or hangs, the browser starts our own page. No setting is needed.
"""

import hashlib
import json
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.apis.api import Api, Example
from app.edge.playground.fetch import ASSETS, HERE, PINNED_FILES, PackageFile, present

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
_OPERATION = re.compile(r"^(query|mutation)\s+\w+")
_ARTICLES = frozenset({"a", "an", "the"})
_CATALOGUE = """# Every error that the gateway can answer, with its place in the input and whether a retry is safe.
query ErrorCatalogue($backend: Backend) {
  errorCatalog(backend: $backend) {
    reason
    code
    backend
    httpStatus
    vendorCode
    text
    inputPath
    mutations
    outcome
    retrySafe
  }
}"""


def prepared(apis: Iterable[Api]) -> Sequence[Example]:
    """Operations that succeed come first, in the APIs' own order: the page opens with the first one."""
    operations = [_named(example) for api in apis for example in api.examples]
    operations.append(Example(title="Every error there is", operation=_CATALOGUE, variables={"backend": None}))
    return sorted(operations, key=lambda example: example.reason is not None)


def _named(example: Example) -> Example:
    """Adds a name, which GraphiQL shows as the title of the tab, and a comment."""
    plain = example.title.partition(" (")[0]
    words = [word for word in re.findall(r"\w+", plain.replace("'", "")) if word not in _ARTICLES]
    name = "".join(word[:1].upper() + word[1:] for word in words)
    operation = _OPERATION.sub(lambda match: f"{match[1]} {name}", example.operation, count=1)
    notes = [f"{example.title}."]
    if example.reason is not None:
        notes.append(f"It is refused: {example.reason}.")
    if example.headers:
        notes.append(f"See the headers: {', '.join(example.headers)}.")
    return replace(example, operation="".join(f"# {note}\n" for note in notes) + operation)


def as_json(example: Example) -> dict[str, str | None]:
    """What the editors hold, as texts. `reason` is null where the operation succeeds."""
    return {
        "title": example.title,
        "query": example.operation,
        "variables": json.dumps(example.variables, indent=2, ensure_ascii=False),
        "headers": json.dumps(example.headers, indent=2) if example.headers else "",
        "reason": example.reason,
    }


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
