"""What is the library's own about its routes."""

from collections.abc import Sequence

from starlette.routing import Route

from app.apis.library.errors import BODY_UNREADABLE, NAME, render
from app.apis.library.resources import BOOKS
from app.apis.library.settings import LibrarySettings
from app.apis.library.store import LibraryRules
from app.errors import refusal
from app.sandbox.shell import Sandbox
from app.store.records import Store
from app.updates.local import LocalBackend

_SANDBOX = Sandbox(
    api=NAME,
    resources=(BOOKS,),
    headers=("x-api-key",),
    render=lambda _, error: render(error),
    unreadable=lambda _: refusal(BODY_UNREADABLE),
)


def routes(_settings: LibrarySettings, store: Store) -> Sequence[Route]:
    return _SANDBOX.routes(LocalBackend(NAME, LibraryRules(store), store, {}))
