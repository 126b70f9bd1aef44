"""Basecone: customers and suppliers of an accounting office. One host, one credential, one error envelope."""

from app.apis.api import Api
from app.apis.basecone.errors import ROWS
from app.apis.basecone.examples import EXAMPLES
from app.apis.basecone.kinds import NAME
from app.apis.basecone.lists import LISTINGS
from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.sandbox import credentials_for, routes
from app.apis.basecone.seed import COLLECTIONS, seed
from app.apis.basecone.settings import BLAME, BaseconeSettings, rest
from app.apis.basecone.store import local
from app.updates.roots import roots_of
from app.upstream.answers import parsed, text_member

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
    local=local,
    sandbox=routes,
    sandbox_credentials=credentials_for,
    sandbox_path="/v1",
    # Every documented error has a code: https://developers.basecone.com/ApiReference/General.
    recognises=lambda answer: text_member(parsed(answer.body), "code") is not None,
    blame=BLAME,
    examples=EXAMPLES,
)
