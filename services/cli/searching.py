"""``search`` and ``verify``."""

import io
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import terminal
from services.cli.client import Client
from services.cli.main import Collection, Exit, Json, existing
from services.cli.service import Document, ServiceError
from services.cli.whom import one_named
from services.errors import InvalidRequest

_GREEN, _GREY, _INK = (46, 160, 67), (140, 140, 140), (255, 255, 255)


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command("search")(search)
    app.command("verify")(verify)


def search(
    context: typer.Context,
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="Photos of anybody.")],
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=100, help="How many to list for each face.")] = 5,
    threshold: Annotated[float | None, typer.Option(help="Accept from this similarity.")] = None,
    fmr: Annotated[float | None, typer.Option(help="Accept at this false-match rate.")] = None,
    fpir: Annotated[float | None, typer.Option(help="Accept so that this share of strangers would be named.")] = None,
    mode: Annotated[str, typer.Option(help="balanced, or thorough for small faces in large groups.")] = "balanced",
    after: Annotated[int | None, typer.Option(help="Reflect the log up to this sequence number.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only people with this attribute, department=Research; repeatable."),
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Order by the probability that the model's Siamese head gives.")
    ] = False,
    save_annotated: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the photo with boxes and names (one PHOTO).")
    ] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Who is in the photo: for each face the nearest colleagues, or unknown."""
    if save_annotated is not None and len(photos) != 1:
        raise typer.BadParameter("--save-annotated takes one PHOTO.")
    how = {
        "k": k,
        "threshold": threshold,
        "fmr": fmr,
        "fpir": fpir,
        "mode": mode,
        "after": after,
        "where": where or None,
        "rerank": True if rerank else None,
    }
    found, worst = [], Exit.OK
    with context.obj.client(collection) as client:
        for photo in photos:
            try:
                answer = client.search(existing(photo), **how)
            except ServiceError as error:
                if len(photos) == 1:
                    raise
                terminal.complain(f"{photo}: {error}")
                found.append({"photo": str(photo), "error": error.problem or {"detail": str(error)}})
                worst = max(worst, Exit.REFUSED if error.status < 500 else Exit.UNREACHABLE)
                continue
            found.append(answer)
            if not as_json:
                _show(photo, answer)
            if save_annotated is not None:
                _annotate(photo, answer, save_annotated)
    if as_json:
        terminal.document(found if len(photos) > 1 else found[0])
    raise typer.Exit(worst)


def verify(
    context: typer.Context,
    a: Annotated[Path, typer.Argument(metavar="A", help="A photo.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another photo, or person:NAME.")],
    threshold: Annotated[float | None, typer.Option(help="The same from this similarity.")] = None,
    fmr: Annotated[float | None, typer.Option(help="The same at this false-match rate; else 0.001.")] = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Are these the same person? Ends with 0 if so, with 1 if not."""
    with context.obj.client(collection) as client:
        answer = _compare(client, existing(a), b, threshold=threshold, fmr=fmr)
    if as_json:
        terminal.document(answer)
    else:
        says = "the same person" if answer["same"] else "different people"
        rate = "" if answer["fmr"] is None else f", false-match rate {answer['fmr']:.2g}"
        odds = "" if answer["probability"] is None else f", probability {answer['probability']:.3f}"
        terminal.say(f"{says}: similarity {answer['similarity']:.3f}{rate}{odds}, {_threshold(answer)}")
    raise typer.Exit(Exit.OK if answer["same"] else Exit.SOME_REJECTED)


def _compare(client: Client, a: Path, b: str, **how: Any) -> Document:  # noqa: ANN401 - query fields
    if b.startswith("person:"):
        return {**client.verify(a, person_id=one_named(client, b.removeprefix("person:"))["id"], **how)}
    return {**client.verify(a, existing(Path(b)), **how)}


def _show(photo: Path, answer: Document) -> None:
    terminal.say(f"{photo}: {len(answer['faces'])} face(s), {_threshold(answer)}")
    ranked = any(match["probability"] is not None for face in answer["faces"] for match in face["matches"])
    rows = []
    for number, face in enumerate(answer["faces"], start=1):
        if not face["matches"]:
            rows.append([number, "unknown", "", "", "", "", *([""] if ranked else [])])
        for place, match in enumerate(face["matches"]):
            first = place == 0
            decision = (face["decision"] if first else "") or ""
            rows.append(
                [
                    number if first else "",
                    decision,
                    match["person"]["name"],
                    terminal.number(match["similarity"]),
                    "" if match["fmr"] is None else f"{match['fmr']:.2g}",
                    *([] if not ranked else [terminal.number(match["probability"])]),
                    "yes" if match["accepted"] else "no",
                ]
            )
    if rows:
        head = ["face>", "decision", "nearest colleague", "similarity>", "fmr>", *(["probability>"] if ranked else [])]
        terminal.table([*head, "accepted"], rows)
    else:
        terminal.say("No face was found.")


def _threshold(answer: Document) -> str:
    """From where on it was accepted, and who says so."""
    by = "as asked" if answer["decided_by"] == "request" else f"by the {answer['decided_by']}"
    return f"threshold {answer['threshold']:.3f} ({by})"


def _annotate(photo: Path, answer: Document, target: Path) -> None:
    """Draw boxes and names. Pillow comes with the extra ``cpu``."""
    try:
        from PIL import Image, ImageDraw, ImageFont, ImageOps  # noqa: PLC0415 - only here
    except ImportError:
        raise InvalidRequest("--save-annotated needs Pillow: pip install 'colega[cpu]'.") from None
    with Image.open(io.BytesIO(photo.read_bytes())) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    draw = ImageDraw.Draw(picture)
    line_px = max(2, max(picture.size) // 400)
    font = ImageFont.load_default(size=max(14, max(picture.size) // 50))
    for face in answer["faces"]:
        box, known = face["box"], face["decision"] == "match"
        colour = _GREEN if known else _GREY
        corner = (box["x"], box["y"])
        draw.rectangle((*corner, box["x"] + box["w"], box["y"] + box["h"]), outline=colour, width=line_px)
        name = f"{face['matches'][0]['person']['name']} {face['matches'][0]['similarity']:.2f}" if known else "unknown"
        left, top, right, bottom = draw.textbbox(corner, terminal.plain(name), font=font, anchor="lb")
        draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=colour)
        draw.text(corner, terminal.plain(name), fill=_INK, font=font, anchor="lb")
    picture.save(target)
    terminal.complain(f"Wrote {target}.")
