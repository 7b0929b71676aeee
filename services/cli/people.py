"""``people``, ``photos`` and ``faces``."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import clusters, terminal
from services.cli.client import Client
from services.cli.main import Collection, Exit, Json, existing
from services.cli.service import Document
from services.errors import Conflict, NotFound

_POLL_S = 0.05

Sort = Literal["name", "newest", "most_faces", "fewest_faces"]
Who = Annotated[str, typer.Argument(metavar="PERSON", help="A name, or an id (per_…).")]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    people = typer.Typer(help="Identities.", no_args_is_help=True, rich_markup_mode=None)
    people.command("list")(list_people)
    people.command("alike")(clusters.alike)
    people.command("show")(show)
    people.command("add")(add)
    people.command("rename")(rename)
    people.command("merge")(merge)
    people.command("undo")(undo)
    people.command("delete")(delete)
    people.command("export")(export)
    photos = typer.Typer(help="Photos that are kept.", no_args_is_help=True, rich_markup_mode=None)
    photos.command("show")(show_photo)
    photos.command("delete")(delete_photo)
    faces = typer.Typer(help="Faces in photos.", no_args_is_help=True, rich_markup_mode=None)
    faces.command("list")(list_faces)
    faces.command("clusters")(clusters.clusters)
    faces.command("assign")(assign)
    faces.command("reject")(reject)
    faces.command("delete")(delete_face)
    app.add_typer(people, name="people")
    app.add_typer(photos, name="photos")
    app.add_typer(faces, name="faces")


def one_named(client: Client, who: str) -> Document:
    """The one person of that id or name.

    Raises:
        NotFound: There is none.
        Conflict: Several have that name; their ids are listed.
    """
    if who.startswith("per_"):
        return client.people.show(who)
    found = client.people.named(who)
    if not found:
        raise NotFound("person", who)
    if len(found) > 1:
        ids = ", ".join(f"{person['id']} (external id {person['external_id']})" for person in found)
        raise Conflict(f"{len(found)} people are called {who}: {ids}. Give an id.")
    return found[0]


def list_people(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Parts of a name or an external id.")] = "",
    sort: Annotated[Sort, typer.Option(help="In which order.")] = "name",
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """People by name, with how many faces each has."""
    with context.obj.client(collection) as client:
        found = list(client.people.list(query, sort=sort))
    if as_json:
        terminal.document(found)
        return
    terminal.table(
        ["name", "external id", "faces>", "id"], ([p["name"], p["external_id"], p["faces"], p["id"]] for p in found)
    )
    terminal.complain(f"{len(found)} people")


def show(context: typer.Context, person: Who, collection: Collection = "default", as_json: Json = False) -> None:
    """One person and their faces."""
    with context.obj.client(collection) as client:
        found = client.people.show(one_named(client, person)["id"])
    if as_json:
        terminal.document(found)
        return
    terminal.say(f"{found['name']}  {found['id']}  external id: {found['external_id'] or '-'}")
    rows = [
        [f["id"], f["photo_id"], terminal.number(f["quality"]["value"] if f["quality"] else None)]
        for f in found["shown_in"]
    ]
    terminal.table(["face", "photo", "quality>"], rows)


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…")],
    external_id: Annotated[str | None, typer.Option(help="Of the personnel system, say.")] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Enrol a newcomer from one photo or more; a person of that name gets the photos."""
    files = [existing(photo) for photo in photos]
    with context.obj.client(collection) as client:
        known = [p for p in client.people.named(name) if p["external_id"] == external_id]
        if known:
            answer = client.people.add_photos(known[0]["id"], files)
        else:
            answer = client.people.add(name, files, external_id=external_id)
        job = client.jobs.show(answer["job"])
        while job["state"] not in {"done", "cancelled"}:
            time.sleep(_POLL_S)
            job = client.jobs.show(answer["job"])
        items = list(client.jobs.items(answer["job"]))
    if as_json:
        terminal.document({"job": job, "items": items})
    else:
        terminal.table(
            ["photo", "status", "reason", "detail"], ([i["name"], i["status"], i["reason"], i["detail"]] for i in items)
        )
        if job["done"]:
            terminal.say(f"{name} is found from sequence {job['sequence']} on.")
    raise typer.Exit(Exit.SOME_REJECTED if job["rejected"] else Exit.OK)


def rename(
    context: typer.Context,
    person: Who,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Give a person another name."""
    with context.obj.client(collection) as client:
        changed = client.people.rename(one_named(client, person)["id"], name)
    _done(changed, f"{changed['name']} it is.", as_json=as_json)


def merge(
    context: typer.Context,
    person: Who,
    into: Annotated[str, typer.Argument(metavar="INTO", help="Who remains: a name or an id.")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Give all faces of PERSON to INTO; PERSON is gone. For 30 days it can be undone."""
    with context.obj.client(collection) as client:
        changed = client.people.merge(one_named(client, person)["id"], one_named(client, into)["id"])
    where = "" if collection == "default" else f" --collection {collection}"
    undone = f"To undo it: colega people undo {changed['merge']}{where}"
    _done(changed, f"Merged, as of sequence {changed['sequence']}.\n{undone}", as_json=as_json)


def undo(
    context: typer.Context,
    merge: Annotated[str, typer.Argument(metavar="MERGE", help="What `colega people merge` has printed (mrg_…).")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Bring back who was merged away, with those of their faces that are still with who remained."""
    with context.obj.client(collection) as client:
        changed = client.people.undo(merge)
    back = changed["person"]
    _done(changed, f"{back['name']} is back with {back['faces']} face(s).", as_json=as_json)


def delete(
    context: typer.Context,
    person: Who,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Erase a person: faces, embeddings, and the photos that show nobody else who is known."""
    with context.obj.client(collection) as client:
        found = one_named(client, person)
        if not yes:
            question = f"Erase {terminal.plain(found['name'])} with {found['faces']} face(s) and their photos?"
            typer.confirm(question, abort=True, err=True)
        changed = client.people.delete(found["id"])
    _done(changed, f"Erased, as of sequence {changed['sequence']}.", as_json=as_json)


def export(
    context: typer.Context,
    person: Who,
    target: Annotated[Path, typer.Argument(metavar="FILE.zip")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Write everything held about a person into a zip."""
    with context.obj.client(collection) as client:
        target.write_bytes(client.people.export(one_named(client, person)["id"]))
    _done({"file": str(target)}, f"Wrote {target}.", as_json=as_json)


def show_photo(
    context: typer.Context,
    photo: Annotated[str, typer.Argument(metavar="PHOTO_ID")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """One photo and its faces."""
    with context.obj.client(collection) as client:
        found = client.photos.show(photo)
    if as_json:
        terminal.document(found)
        return
    terminal.say(
        f"{found['id']}  {found['name']}  {found['format']} {found['width']}x{found['height']}  {found['state']}"
    )
    rows = [[f["id"], (f["person"] or {}).get("name"), "yes" if f["has_chip"] else "box only"] for f in found["faces"]]
    terminal.table(["face", "person", "kept"], rows)


def delete_photo(
    context: typer.Context,
    photo: Annotated[str, typer.Argument(metavar="PHOTO_ID")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Delete a photo with its faces."""
    with context.obj.client(collection) as client:
        changed = client.photos.delete(photo)
    _done(changed, f"Deleted, as of sequence {changed['sequence']}.", as_json=as_json)


def list_faces(
    context: typer.Context,
    unassigned: Annotated[
        bool, typer.Option("--unassigned", help="Faces of nobody; the only ones listed here.")
    ] = True,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Faces of nobody that were kept for review."""
    del unassigned
    with context.obj.client(collection) as client:
        found = list(client.faces.unassigned())
    if as_json:
        terminal.document(found)
        return
    terminal.table(["face", "photo", "score>"], ([f["id"], f["photo_id"], terminal.number(f["score"])] for f in found))


def assign(
    context: typer.Context,
    face: Annotated[str, typer.Argument(metavar="FACE_ID")],
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name, an id, or - for nobody.")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Say whose a face is."""
    with context.obj.client(collection) as client:
        changed = client.faces.assign(face, None if person == "-" else one_named(client, person)["id"])
    _done(changed, f"Assigned, as of sequence {changed['sequence']}.", as_json=as_json)


def reject(
    context: typer.Context,
    face: Annotated[str, typer.Argument(metavar="FACE_ID")],
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A name or an id.")],
    take_back: Annotated[bool, typer.Option("--take-back", help="Forget that it was said.")] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Say that a face is not somebody. Searches with it, or with its photo, no longer name them."""
    with context.obj.client(collection) as client:
        who = one_named(client, person)["id"]
        if take_back:
            _done(client.faces.take_back(face, who), "Taken back.", as_json=as_json)
            return
        changed = client.faces.reject(face, who)
    _done(changed, f"Remembered, as of sequence {changed['sequence']}.", as_json=as_json)


def delete_face(
    context: typer.Context,
    face: Annotated[str, typer.Argument(metavar="FACE_ID")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Delete a face; its photo stays."""
    with context.obj.client(collection) as client:
        changed = client.faces.delete(face)
    _done(changed, f"Deleted, as of sequence {changed['sequence']}.", as_json=as_json)


def _done(changed: Document, sentence: str, *, as_json: bool) -> None:
    if as_json:
        terminal.document(changed)
    else:
        terminal.say(sentence)
