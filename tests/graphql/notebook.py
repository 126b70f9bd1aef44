"""A further API, whole in one file: what a newcomer adds. Its local backend keeps notes in memory.

It also misbehaves on demand, so that the tests of GraphQL and of the edge need no vendor.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import strawberry
from strawberry import UNSET

from app.apis.api import Api, ApiSettings
from app.errors import Code, DocumentedError, GatewayError, GatewayErrors, Outcome, refusal
from app.mapping import scalars
from app.mapping.wire import arguments_of
from app.updates.roots import Roots

FIRST = "00000000-0000-4000-8000-000000000001"
SECOND = "00000000-0000-4000-8000-000000000002"
HIDDEN = "00000000-0000-4000-8000-000000000009"

TITLE_TAKEN = DocumentedError(
    reason="TITLE_TAKEN",
    code=Code.CONFLICT,
    backend="notebook",
    http_status=409,
    vendor_code="taken",
    text="The title is taken",
    input_path=("input", "title"),
    mutations=("updateNote",),
)
TAG_REFUSED = DocumentedError(
    reason="TAG_REFUSED",
    code=Code.BAD_USER_INPUT,
    backend="notebook",
    http_status=400,
    vendor_code="tag",
    text="The tag is refused",
    input_path=("input", "tags", "name"),
    mutations=("updateNote",),
)
NOTE_HIDDEN = DocumentedError(
    reason="NOTE_HIDDEN",
    code=Code.FORBIDDEN,
    backend="notebook",
    http_status=403,
    text="The note is hidden",
    outcome=Outcome.NOT_APPLIED,
    retry_safe=True,
)


class LocalNotebook:
    """Notes in a dict; `calls` counts what was asked of it."""

    def __init__(self) -> None:
        self.notes: dict[str, dict[str, Any]] = {
            FIRST: {"id": FIRST, "title": "First"},
            SECOND: {"id": SECOND, "title": "Second"},
        }
        self.calls: list[tuple[Any, ...]] = []
        self.entered = asyncio.Event()
        self.release = asyncio.Event()
        self.seen: list[Any] = []

    def _remember(self, call: Any) -> None:
        # Without its client, who would keep the whole connection.
        self.seen.append(call and replace(call, client=None))

    async def read(self, note_id: str, call: Any = None) -> dict[str, Any] | None:
        self.calls.append(("read", note_id))
        self._remember(call)
        if note_id == HIDDEN:
            raise refusal(NOTE_HIDDEN)
        return self.notes.get(note_id)

    async def write(self, note_id: str, changes: dict[str, Any], call: Any) -> dict[str, Any]:
        self.calls.append(("write", note_id, changes))
        self._remember(call)
        title = changes.get("title")
        if title == "taken":
            raise refusal(TITLE_TAKEN)
        if title == "both":
            raise GatewayErrors([refusal(TITLE_TAKEN), refusal(TAG_REFUSED, input_path=["input", "tags", 1, "name"])])
        if title == "bug":
            raise ZeroDivisionError("secret-host.internal/path with a password")
        if title == "slow":
            self.entered.set()
            await self.release.wait()
        if title == "waits":
            raise GatewayError(NOTE_HIDDEN, retry_after=7)
        self.notes.setdefault(note_id, {"id": note_id}).update(changes)
        return self.notes[note_id]


@strawberry.input(description="A tag.")
class TagInput:
    name: str = strawberry.field(description="Its name.")
    weight: scalars.Decimal | None = strawberry.field(default=UNSET, description="Its weight.")


@strawberry.input(description="A change of a note.")
class UpdateNoteInput:
    title: str = strawberry.field(description="The title.")
    tags: list[TagInput] | None = strawberry.field(default=UNSET, description="The tags.")
    pages: int | None = strawberry.field(default=UNSET, description="How many pages.")
    labels: scalars.StringMap | None = strawberry.field(default=UNSET, description="Labels.")


class NotebookSettings(ApiSettings):
    url: str = "http://notebook.invalid"


def _note(data: dict[str, Any]) -> Note:
    return Note(id=data["id"], title=data.get("title"), weight=(data.get("tags") or [{}])[0].get("weight"))


@strawberry.federation.type(keys=["id"], description="A note.")
class Note:
    id: scalars.UUID = strawberry.field(description="Its id.")
    title: str | None = strawberry.field(description="Its title.")
    weight: scalars.Decimal | None = strawberry.field(description="The weight of its first tag.")

    @strawberry.field(description="Never null, says the schema; null for the title `void`.")
    def promised(self) -> str:
        return None if self.title == "void" else "kept"  # type: ignore[return-value]

    @strawberry.field(description="The note itself, for depth.")
    def again(self) -> Note | None:
        return self

    @classmethod
    async def resolve_reference(cls, info: strawberry.Info, id: scalars.UUID) -> Note | None:  # noqa: A002 - the API's own name
        data = await info.context.backends["notebook"].read(id)
        return _note(data) if data else None


@strawberry.type(description="The updated note.")
class UpdateNotePayload:
    note: Note | None = strawberry.field(description="The note.")


@strawberry.type
class NotebookQuery:
    @strawberry.field(description="A note by its id.")
    async def note(self, info: strawberry.Info, id: scalars.UUID) -> Note | None:  # noqa: A002 - the API's own name
        data = await info.context.backends["notebook"].read(id, info.context.call)
        return _note(data) if data else None


@strawberry.type
class NotebookMutation:
    @strawberry.mutation(description="Changes a note.")
    async def update_note(
        self,
        info: strawberry.Info,
        id: scalars.UUID,  # noqa: A002 - the API's own name
        input: UpdateNoteInput,  # noqa: A002 - the API's own name
        loud: bool = False,
    ) -> UpdateNotePayload | None:
        del loud
        data = await info.context.backends["notebook"].write(id, arguments_of(input), info.context.call)
        return UpdateNotePayload(note=_note(data))


API = Api(
    name="notebook",
    title="Notebook",
    errors=(TITLE_TAKEN, TAG_REFUSED, NOTE_HIDDEN),
    roots=Roots(
        query=lambda: NotebookQuery,
        mutation=lambda _: NotebookMutation,
        mutations=("updateNote",),
        scopes={"updateNote": "notes:write", "note": "notes:read"},
    ),
    settings=NotebookSettings,
    caller_headers={"x-notebook-authorization": "authorization"},
    collections=(),
    seed=lambda: (),
    rest=lambda _settings, _upstream: LocalNotebook(),
    local=lambda _settings, _store: LocalNotebook(),
    sandbox=lambda _settings, _store: (),
    sandbox_credentials=lambda _base: {},
)
