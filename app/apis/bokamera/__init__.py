"""BokaMera: customers of companies that take bookings. One host, an API key and a bearer, ServiceStack's envelope."""

from app.apis.api import Api
from app.apis.bokamera.envelope import is_servicestack
from app.apis.bokamera.errors import NAME, ROWS
from app.apis.bokamera.examples import EXAMPLES
from app.apis.bokamera.lists import LISTINGS
from app.apis.bokamera.resources import BOOKING_CUSTOMERS
from app.apis.bokamera.sandbox import credentials_for, routes
from app.apis.bokamera.seed import COLLECTIONS, seed
from app.apis.bokamera.settings import BLAME, BokameraSettings, rest
from app.apis.bokamera.store import BokameraRules, demo_credentials
from app.updates.local import local_over
from app.updates.roots import roots_of

API = Api(
    name=NAME,
    title="BokaMera",
    errors=ROWS,
    roots=roots_of(BOOKING_CUSTOMERS, listings=LISTINGS),
    resources=(BOOKING_CUSTOMERS,),
    settings=BokameraSettings,
    caller_headers={"x-bokamera-authorization": "authorization", "x-bokamera-api-key": "x-api-key"},
    collections=COLLECTIONS,
    seed=seed,
    rest=rest,
    local=local_over(NAME, BokameraRules, demo_credentials),
    sandbox=routes,
    sandbox_credentials=credentials_for,
    recognises=is_servicestack,
    blame=BLAME,
    examples=EXAMPLES,
)
