"""BokaMera: customers of companies that take bookings. One host, an API key and a bearer, ServiceStack's envelope."""

from app.apis.api import Api
from app.apis.bokamera.backend import MUTATION, NAME, SCOPES
from app.apis.bokamera.client import RestBackend
from app.apis.bokamera.errors import ROWS
from app.apis.bokamera.examples import EXAMPLES
from app.apis.bokamera.mutations import Mutation, Query
from app.apis.bokamera.probe import PROBE
from app.apis.bokamera.sandbox import routes, settings_for
from app.apis.bokamera.seed import COLLECTIONS, seed
from app.apis.bokamera.settings import BokameraSettings
from app.apis.bokamera.store import LocalBackend

API = Api(
    name=NAME,
    title="BokaMera",
    errors=ROWS,
    mutations=(MUTATION,),
    settings=BokameraSettings,
    caller_headers={"x-bokamera-authorization": "authorization", "x-bokamera-api-key": "x-api-key"},
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
    examples=EXAMPLES,
)
