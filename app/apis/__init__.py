"""The APIs that the gateway unifies. A further API is a folder here and a line in `APIS`."""

from app.apis import basecone, bokamera
from app.apis.api import Api

APIS: tuple[Api, ...] = (
    basecone.API,
    bokamera.API,
)
