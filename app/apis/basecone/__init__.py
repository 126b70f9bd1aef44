"""Basecone: customers and suppliers of an accounting office. One host, one credential, one error envelope."""

from app.apis.api import Api
from app.apis.basecone.backend import KINDS, NAME, SCOPES
from app.apis.basecone.client import RestBackend
from app.apis.basecone.errors import ROWS
from app.apis.basecone.examples import EXAMPLES
from app.apis.basecone.mutations import Mutation, Query
from app.apis.basecone.probe import PROBE
from app.apis.basecone.sandbox import routes, settings_for
from app.apis.basecone.seed import COLLECTIONS, seed
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.store import LocalBackend

API = Api(
    name=NAME,
    title="Basecone",
    errors=ROWS,
    mutations=tuple(kind.mutation for kind in KINDS),
    settings=BaseconeSettings,
    caller_headers={"x-basecone-authorization": "authorization"},
    query=Query,
    mutation=Mutation,
    collections=COLLECTIONS,
    seed=seed,
    rest=RestBackend,
    local=LocalBackend,
    sandbox=routes,
    sandbox_settings=settings_for,
    scopes=SCOPES,
    probe=PROBE,
    sandbox_path="/v1",
    examples=EXAMPLES,
)
