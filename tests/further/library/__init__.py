"""The library: books. One host, an API key, one envelope for errors."""

from app.apis.api import Api
from app.apis.library.errors import NAME, ROWS
from app.apis.library.resources import BOOKS
from app.apis.library.sandbox import routes
from app.apis.library.seed import API_KEY, COLLECTIONS, EXAMPLES, seed
from app.apis.library.settings import LibrarySettings, rest
from app.apis.library.store import local
from app.updates.roots import roots_of
from app.upstream.answers import parsed, text_member

API = Api(
    name=NAME,
    title="Library",
    errors=ROWS,
    roots=roots_of(BOOKS),
    resources=(BOOKS,),
    settings=LibrarySettings,
    caller_headers={"x-library-key": "x-api-key"},
    collections=COLLECTIONS,
    seed=seed,
    rest=rest,
    local=local,
    sandbox=routes,
    sandbox_credentials=lambda _url: {"api_key": API_KEY},
    sandbox_path="/library",
    recognises=lambda answer: text_member(parsed(answer.body), "code") is not None,
    blame={"LIBRARY_KEY_INVALID": ("api_key",)},
    examples=EXAMPLES,
)
