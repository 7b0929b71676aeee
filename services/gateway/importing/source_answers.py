"""What requests about sources carry, and what they are answered."""

from typing import Literal

from pydantic import BaseModel, Field

from services.gateway.doors import Page, Taken
from services.gateway.photos import Seen


class SourcePath(BaseModel):
    """Which source."""

    source_id: str = Field(max_length=64)


class Files(Page):
    """Which files."""

    limit: int = Field(default=500, ge=1, le=2000)


class SourceIn(Taken):
    """A source, by name; made where there is none."""

    name: str = Field(min_length=1, max_length=1024)


class Held(Taken):
    """Who brings the source in step."""

    holder: str = Field(
        min_length=1, max_length=128, description="Chosen by the command; the same in all requests of one run."
    )


class BeginIn(Held):
    """Who wants to, or goes on doing so; within 20 seconds each time."""

    instead_of: str | None = Field(default=None, max_length=128, description="A holder that is known to have died.")


class Noted(Seen):
    """A file that was read and not sent, or whose person is told of otherwise than before."""

    path: str = Field(min_length=1, max_length=1024)
    sha256: str = Field(max_length=64)
    state: Literal["rejected", "skipped"] = "rejected"
    reason: str | None = Field(default=None, max_length=32)


class NoteIn(Held):
    """Files to be remembered."""

    files: list[Noted] = Field(max_length=1000)


class ReleaseIn(Held):
    """Files that are no longer there."""

    paths: list[str] = Field(max_length=1000)


class LeaveIn(Held):
    """People who are no longer there."""

    people: list[str] = Field(max_length=200)
    of: int = Field(ge=0, description="How many leave in all.")
    confirmed: bool = Field(default=False, description="Although that is more than a tenth of the collection.")


class SourceOut(BaseModel):
    """A source."""

    id: str
    name: str
    files: int
    held_by: str | None = Field(description="Who brings it in step at this moment.")
    synchronised_at: str | None


class SourcesOut(BaseModel):
    """The sources of a collection, by name."""

    items: list[SourceOut]
    next_cursor: str | None


class FileOut(BaseModel):
    """A file as it was when it was read last. Of who was erased here the path is `sha256:` and its hash."""

    path: str
    size_bytes: int
    modified_ns: int
    sha256: str
    whose: str
    label: str
    state: str
    reason: str | None
    person_id: str | None
    photo_id: str | None


class FilesOut(BaseModel):
    """Files of a source."""

    items: list[FileOut]
    next_cursor: str | None


class ReleasedOut(BaseModel):
    """Photos that nobody else needed, and that are deleted."""

    photos: list[str]


class Stayed(BaseModel):
    """Somebody who stays, because photos of them came from elsewhere, too."""

    id: str
    photos: int


class LeftOut(BaseModel):
    """Who was erased, and who stays."""

    erased: list[str]
    stayed: list[Stayed]


class SettledOut(BaseModel):
    """How many former photos were dealt with; ask again until there are none."""

    files: int
