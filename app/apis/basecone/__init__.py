"""Basecone: customers and suppliers of an accounting office. One host, one credential, one error envelope."""

from app.apis.api import Api
from app.apis.basecone.errors import NAME, ROWS
from app.apis.basecone.examples import EXAMPLES
from app.apis.basecone.lists import LISTINGS
from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.sandbox import SANDBOX, credentials_for
from app.apis.basecone.seed import COLLECTIONS, seed
from app.apis.basecone.settings import BLAME, BaseconeSettings, rest
from app.apis.basecone.store import BaseconeRules, demo_credentials
from app.updates.local import local_over
from app.updates.roots import roots_of

API = Api(
    name=NAME,
    title="Basecone",
    errors=ROWS,
    roots=roots_of(*RESOURCES, listings=LISTINGS),
    resources=RESOURCES,
    settings=BaseconeSettings,
    caller_headers={"x-basecone-authorization": "authorization"},
    collections=COLLECTIONS,
    seed=seed,
    rest=rest,
    local=local_over(NAME, BaseconeRules, demo_credentials),
    sandbox=SANDBOX.over(BaseconeRules),
    sandbox_credentials=credentials_for,
    sandbox_path="/v1",
    blame=BLAME,
    examples=EXAMPLES,
)
