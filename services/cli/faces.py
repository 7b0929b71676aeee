"""``photos`` and ``faces``."""

from typing import Annotated

import typer

from services.cli import clusters, terminal
from services.cli.main import Collection, Json
from services.cli.whom import done, one_named


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    photos = typer.Typer(help="Photos that are kept.", no_args_is_help=True, rich_markup_mode=None)
    photos.command("show")(show_photo)
    photos.command("delete")(delete_photo)
    faces = typer.Typer(help="Faces in photos.", no_args_is_help=True, rich_markup_mode=None)
    faces.command("list")(list_faces)
    faces.command("clusters")(clusters.clusters)
    faces.command("assign")(assign)
    faces.command("reject")(reject)
    faces.command("delete")(delete_face)
    app.add_typer(photos, name="photos")
    app.add_typer(faces, name="faces")


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
    done(changed, f"Deleted, as of sequence {changed['sequence']}.", as_json=as_json)


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
    done(changed, f"Assigned, as of sequence {changed['sequence']}.", as_json=as_json)


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
            done(client.faces.take_back(face, who), "Taken back.", as_json=as_json)
            return
        changed = client.faces.reject(face, who)
    done(changed, f"Remembered, as of sequence {changed['sequence']}.", as_json=as_json)


def delete_face(
    context: typer.Context,
    face: Annotated[str, typer.Argument(metavar="FACE_ID")],
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Delete a face; its photo stays."""
    with context.obj.client(collection) as client:
        changed = client.faces.delete(face)
    done(changed, f"Deleted, as of sequence {changed['sequence']}.", as_json=as_json)
