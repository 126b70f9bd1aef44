"""The page at `GET /graphql`: a person can run the prepared operations, with every other host out of reach."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

_STYLE = """
body{font:15px system-ui,sans-serif;margin:0;display:grid;grid-template-rows:auto 1fr;height:100vh}
header{padding:.6rem 1rem;display:flex;gap:1rem;align-items:center;border-bottom:1px solid #ccc}
main{display:grid;grid-template-columns:1fr 1fr;min-height:0}
section{display:grid;grid-template-rows:3fr 2fr 1fr;min-height:0}
textarea,pre{font:13px ui-monospace,monospace;margin:0;padding:.8rem;border:0;border-right:1px solid #ccc;
border-bottom:1px solid #ccc;resize:none;overflow:auto}
"""
_SCRIPT = """
const $ = (id) => document.getElementById(id);
async function run() {
  const parse = (id) => ($(id).value.trim() ? JSON.parse($(id).value) : {});
  try {
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "content-type": "application/json", ...parse("headers") },
      body: JSON.stringify({ query: $("query").value, variables: parse("variables") }),
    });
    $("answer").textContent = JSON.stringify(await answer.json(), null, 2);
  } catch (error) {
    $("answer").textContent = String(error);
  }
}
$("run").addEventListener("click", run);
"""
_PAGE = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>GraphQL</title><style>{_STYLE}</style></head>
<body><header><strong>GraphQL</strong><button id="run" type="button">Run</button></header>
<main><section>
<textarea id="query" aria-label="Operation" spellcheck="false">{{ __typename }}</textarea>
<textarea id="variables" aria-label="Variables as JSON" spellcheck="false">{{}}</textarea>
<textarea id="headers" aria-label="Headers as JSON" spellcheck="false">{{}}</textarea>
</section><pre id="answer" aria-live="polite"></pre></main>
<script>{_SCRIPT}</script></body></html>
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; connect-src 'self'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(_request: Request) -> Response:
    return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY, "vary": "Accept"})
