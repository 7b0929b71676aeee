"""``faces clusters`` and ``people alike``: who looks alike."""

from typing import Annotated

import typer

from services.cli import terminal
from services.cli.main import Collection, Json

_NAMED = 3

Threshold = Annotated[
    float | None, typer.Option(help="Alike from this similarity; else the higher, the more are compared.")
]
After = Annotated[int | None, typer.Option(help="Reflect the log up to this sequence number.")]


def clusters(
    context: typer.Context,
    threshold: Threshold = None,
    fmr: Annotated[float | None, typer.Option(help="Alike at this false-match rate of pairs.")] = None,
    min_faces: Annotated[int, typer.Option(min=2, help="Leave smaller clusters out.")] = 2,
    after: After = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Faces of nobody that look alike, largest cluster first, with the colleague nearest to each."""
    with context.obj.client(collection) as client:
        found = client.faces.clusters(threshold=threshold, fmr=fmr, min_faces=min_faces, after=after)
    if as_json:
        terminal.document(found)
        return
    rows = []
    for cluster in found["items"]:
        nearest = cluster["nearest"] or {"person": {"name": ""}, "similarity": None}
        faces = [face["face_id"] for face in cluster["faces"][:_NAMED]]
        rows.append(
            [
                cluster["size"],
                terminal.number(cluster["similarity"]),
                nearest["person"]["name"],
                terminal.number(nearest["similarity"]),
                " ".join(faces) + (" …" if cluster["size"] > _NAMED else ""),
            ]
        )
    terminal.table(["faces>", "similarity>", "nearest colleague", "theirs>", "most typical"], rows)
    terminal.complain(f"{len(rows)} cluster(s), threshold {found['threshold']:.3f}, as of sequence {found['sequence']}")


def alike(
    context: typer.Context,
    threshold: Threshold = None,
    fmr: Annotated[float | None, typer.Option(help="Alike at this false-match rate of pairs.")] = None,
    after: After = None,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """People who look alike, most similar first: perhaps one person under two names."""
    with context.obj.client(collection) as client:
        found = client.people.alike(threshold=threshold, fmr=fmr, after=after)
    if as_json:
        terminal.document(found)
        return
    rows = [
        [terminal.number(pair["similarity"]), one["name"], other["name"], one["id"], other["id"]]
        for pair in found["items"]
        for one, other in [pair["people"]]
    ]
    terminal.table(["similarity>", "person", "person", "id", "id"], rows)
    terminal.complain(f"{len(rows)} pair(s), threshold {found['threshold']:.3f}, as of sequence {found['sequence']}")
