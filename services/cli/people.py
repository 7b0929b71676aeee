"""``people``."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import clusters, consenting, terminal
from services.cli.main import Collection, Exit, Json, existing
from services.cli.whom import done, one_named

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
    people.command("consent")(consenting.consent)
    app.add_typer(people, name="people")


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
    agreed, over = found["consent"], found["ends_at"]
    terminal.say(
        f"consent: {agreed['given_at'][:10]}, notice {agreed['notice']}" if agreed else "consent: none on record"
    )
    terminal.say(f"erased of themselves: {over[:10] if over else 'never'}")
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
    consent: consenting.GivenAt = None,
    notice: consenting.OfNotice = None,
    expires: Annotated[
        str | None, typer.Option(help="When they are erased of themselves: 2027-12-31.", metavar="DAY")
    ] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Enrol a newcomer from one photo or more; a person of that name gets the photos."""
    files = [existing(photo) for photo in photos]
    said = {"consent_given_at": consent, "consent_notice": notice, "expires_at": expires}
    terms = {field: value for field, value in said.items() if value is not None}
    with context.obj.client(collection) as client:
        known = [p for p in client.people.named(name) if p["external_id"] == external_id]
        if known:
            consenting.record(client, known[0]["id"], consent, notice)
            if expires is not None:
                client.people.change(known[0]["id"], expires_at=expires)
            answer = client.people.add_photos(known[0]["id"], files)
        else:
            answer = client.people.add(name, files, external_id=external_id, **terms)
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
    done(changed, f"{changed['name']} it is.", as_json=as_json)


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
    done(changed, f"Merged, as of sequence {changed['sequence']}.\n{undone}", as_json=as_json)


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
    done(changed, f"{back['name']} is back with {back['faces']} face(s).", as_json=as_json)


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
    receipt = changed["erasure"]
    sentence = (
        f"Erased, as of sequence {changed['sequence']}; every copy is gone by {receipt['due_at'][:16]} UTC "
        f"(colega erase --status {receipt['id']})."
    )
    done(changed, sentence, as_json=as_json)


def export(
    context: typer.Context,
    person: Who,
    target: Annotated[Path, typer.Argument(metavar="FILE.zip")],
    without_others: Annotated[
        bool, typer.Option("--without-others", help="Leave out photos that show anybody else, too.")
    ] = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Write everything held about a person into a zip."""
    others = "left_out" if without_others else "included"
    with context.obj.client(collection) as client:
        target.write_bytes(client.people.export(one_named(client, person)["id"], others=others))
    done({"file": str(target)}, f"Wrote {target}.", as_json=as_json)
