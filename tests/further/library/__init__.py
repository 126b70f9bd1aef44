"""The library: books. One host, an API key, one envelope for errors."""

from app.apis.api import Api
from app.apis.library.backend import MUTATION, NAME, SCOPES
from app.apis.library.client import RestBackend
from app.apis.library.errors import ROWS
from app.apis.library.examples import EXAMPLES
from app.apis.library.mutations import Mutation, Query
from app.apis.library.probe import PROBE
from app.apis.library.sandbox import routes, settings_for
from app.apis.library.seed import COLLECTIONS, seed
from app.apis.library.settings import LibrarySettings
from app.apis.library.store import LocalBackend

API = Api(
    name=NAME,
    title="Library",
    errors=ROWS,
    mutations=(MUTATION,),
    settings=LibrarySettings,
    caller_headers={"x-library-key": "x-api-key"},
    query=Query,
    mutation=Mutation,
    collections=COLLECTIONS,
    seed=seed,
    rest=RestBackend,
    local=LocalBackend,
    sandbox=routes,
    sandbox_settings=settings_for,
    sandbox_path="/library",
    scopes=SCOPES,
    probe=PROBE,
    examples=EXAMPLES,
)
