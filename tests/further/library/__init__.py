"""The library: books. One host, an API key, one envelope for errors."""

from app.apis.api import Api
from app.apis.library.errors import NAME, ROWS
from app.apis.library.resources import BOOKS
from app.apis.library.seed import API_KEY, COLLECTIONS, EXAMPLES, seed
from app.apis.library.settings import LibrarySettings
from app.apis.library.store import LibraryRules
from app.sandbox.shell import Sandbox
from app.updates.local import local_over
from app.updates.rest import RestBackend
from app.updates.roots import roots_of
from app.upstream.credentials import key

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
    rest=lambda settings, upstream: RestBackend(settings, upstream, key(NAME, settings.api_key)),
    local=local_over(NAME, LibraryRules, lambda _: {"x-api-key": API_KEY}),
    sandbox=Sandbox(api=NAME, resources=(BOOKS,), headers=("x-api-key",)).over(LibraryRules),
    sandbox_credentials=lambda _: {"api_key": API_KEY},
    sandbox_path="/library",
    blame={"LIBRARY_KEY_INVALID": ("api_key",)},
    examples=EXAMPLES,
)
