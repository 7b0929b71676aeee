"""``models``: embedders and detectors as data."""

import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from services.cli import computing, heads, model_table, pulling, rebuild_follow, rebuild_table, terminal
from services.cli.evaluating import Dataset, Local, NoWait, Whose, on_disk, one_source
from services.cli.main import Collection, Context, Exit, Json, existing
from services.cli.service import Document
from services.errors import InvalidRequest
from services.settings.service import Home

_POLL_S = 0.2
_CHECKED_WITHIN_S = 900.0

Name = Annotated[str, typer.Option(help="What to call it.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name or id.")]
Licence = Annotated[
    str | None, typer.Option(help="As its publisher states it, best an SPDX identifier.", metavar="TEXT")
]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    models = typer.Typer(help="Models as data.", no_args_is_help=True, rich_markup_mode=None)
    models.command("list")(list_models)
    models.command("show")(show)
    models.command("add")(add)
    models.command("pull")(pull)
    models.command("quantize")(quantize)
    models.command("activate")(activate)
    models.command("attach")(heads.attach)
    models.command("detach")(heads.detach)
    models.command("retire")(retire)
    models.command("prune")(prune)
    app.add_typer(models, name="models")


def list_models(context: typer.Context, as_json: Json = False) -> None:
    """Every model: embedders and detectors."""
    with context.obj.client() as client:
        found = client.models.list()
    model_table.table(found, as_json=as_json)


def show(context: typer.Context, model: Model, as_json: Json = False) -> None:
    """One model with its licence, its provenance, what int8 costs, and what uses it."""
    with context.obj.client() as client:
        found = client.models.show(model)
    if as_json:
        terminal.document(found)
        return
    model_table.table([found], as_json=False)
    terminal.say(f"licence: {model_table.licence(found)}")
    terminal.say(f"digest: {found['digest']}")
    details = found["details"]
    for name, value in details.get("provenance", {}).items():
        terminal.say(f"{name}: {value}")
    for name in ("crop", "normalisation"):
        if name in details:
            terminal.say(f"{name}: {', '.join(f'{key} {value}' for key, value in details[name].items())}")
    terminal.say(f"int8: {model_table.int8(found)}")
    if (int8 := found["int8"]) is not None and int8.get("why"):
        terminal.say(f"  {int8['why']}")
    terminal.say(f"running: {model_table.running(found) or 'nowhere'}")
    terminal.say(f"Siamese head: {heads.described(found['head'])}")
    terminal.say(f"used by: {', '.join(found['uses']) or 'nothing'}")
    model_table.kept(found["generations"])


def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Safetensors, PyTorch, ONNX, or a bundle's folder.")],
    name: Name,
    describe: Annotated[
        Path | None, typer.Option(help="YAML that describes an embedder in ONNX (docs/models.md).", metavar="FILE.yaml")
    ] = None,
    licence: Licence = None,
    kind: Annotated[str, typer.Option(help="embedder, or detector (YuNet).")] = "embedder",
    as_json: Json = False,
) -> None:
    """Bring a model along. A worker tries it on real faces and makes its int8 variant; then it is a candidate.

    A detector whose licence is plainly permissive is at once what new collections use.
    """
    if kind not in {"embedder", "detector"}:
        raise typer.BadParameter("--kind is embedder or detector.")
    form = {"name": name, "kind": kind}
    if describe is not None:
        form["describe"] = _text(existing(describe))
    if licence is not None:
        form["licence"] = licence
    with _one_file(existing(file)) as path:
        _added(context.obj, path, form, as_json=as_json)


def pull(
    context: typer.Context,
    which: Annotated[str, typer.Argument(metavar="MODEL", help=" or ".join(pulling.PUBLISHED))],
    name: Annotated[str | None, typer.Option(help="What to call it; else as it is published.")] = None,
    mirror: Annotated[
        str | None, typer.Option("--from", help="Another place that has the same file.", metavar="URL")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="That the file must have.", metavar="HEX")] = None,
    as_json: Json = False,
) -> None:
    """Fetch FaceNet's weights as facenet-pytorch publishes them, and add them.

    Started again it goes on where it stopped. The publisher states no checksum: what was fetched has to say of the reference
    faces what that model is known to say. The worker needs torch to read the file.
    """
    if which not in pulling.PUBLISHED:
        raise typer.BadParameter(f"Known are {', '.join(pulling.PUBLISHED)}.")
    published = pulling.PUBLISHED[which]
    url = mirror or published.url
    path = context.obj.environment.load(Home).data / "downloads" / Path(published.url).name
    with terminal.progress() as bar:
        task = bar.add_task(f"fetching {which}", total=None, rate="")

        def on_progress(there: int, total: int | None) -> None:
            bar.update(task, completed=there, total=total, rate=f"{there / 1e6:.0f} MB")

        found = pulling.fetch(url, path, on_progress=on_progress, sha256=sha256)
    terminal.complain(f"{path.name}: SHA-256 {found}")
    form = {"name": name or which, "published": which, "licence": published.licence, "source": url}
    _added(context.obj, path, form, as_json=as_json, keep=False)


def quantize(
    context: typer.Context,
    model: Model,
    collection: Whose = None,
    dataset: Dataset = None,
    output: Annotated[Path | None, typer.Option(help="With --dataset: where the bundle goes.", metavar="DIR")] = None,
    local: Local = False,
    no_wait: NoWait = False,
    as_json: Json = False,
) -> None:
    """Make a model's int8 variant anew, with ranges measured on faces of yours, and measure what it costs.

    With --dataset MODEL may also be a bundle's folder; the bundle with its new variant is written to --output.
    """
    name = one_source(None, dataset, collection)
    told: Document | None
    if name is None:
        wanted = {"model": model} | on_disk(dataset=dataset)
        told = computing.here(context.obj, "quantisation", wanted, output=output, collection=None)
    elif local:
        told = computing.here(context.obj, "quantisation", {"model": model}, output=None, collection=name)
    else:
        job = computing.at_service(
            context.obj, name, f"/v1/models/{model}/quantize", {}, wait=not no_wait, as_json=as_json
        )
        told = None if job is None else {**job["result"], "job": job["id"]}
    if told is None:
        return
    if as_json:
        terminal.document(told)
    else:
        terminal.say(f"{told['model']}: int8 {model_table.int8(told)}")
        if why := told["int8"].get("why"):
            terminal.say(why)


def activate(
    context: typer.Context,
    model: Model,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read its licence, which is not plainly permissive.")
    ] = False,
    no_wait: NoWait = False,
    collection: Collection = "default",
    as_json: Json = False,
) -> None:
    """Make a model what new collections use, and the collection: where that has photos, by a rebuild.

    It is compared and switched to, unless it is worse; what is kept of it from before is switched to without embedding anew.
    """
    with context.obj.client(collection) as client:
        activated = client.models.change(model, "activate", {"accept_licence": accept_licence})
        begun = None if activated["rebuild"] is None else client.rebuilds.show(activated["rebuild"])
        if not as_json:
            model_table.table([activated], as_json=False)
        if begun is not None and not no_wait:
            begun = rebuild_follow.followed(client, begun, quiet=as_json)
        if as_json:
            terminal.document([{**activated, "rebuild": begun}])
        elif begun is not None and no_wait:
            terminal.say(f"{begun['id']} is under way: {rebuild_follow.command(client, 'status', begun)} --watch")
        if begun is not None and not no_wait:
            if not as_json:
                rebuild_table.comparison(begun)
            rebuild_follow.conclude(client, begun, quiet=as_json)


def retire(context: typer.Context, model: Model, as_json: Json = False) -> None:
    """Put a model aside; collections that use it go on doing so."""
    with context.obj.client() as client:
        model_table.table([client.models.change(model, "retire")], as_json=as_json)


def prune(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Name or id; else all that can go.")] = None,
    as_json: Json = False,
) -> None:
    """Free what is kept of a model for rollbacks, in all collections; a retired or refused one that nothing uses goes itself.

    Without a model: every retired and refused one that nothing uses, with its files; nothing that is kept is touched.
    """
    pruned, in_use = [], 0
    with context.obj.client() as client:
        if model is not None:
            pruned.append(client.models.change(model, "prune"))
        else:
            for one in client.models.list():
                if one["state"] in {"retired", "refused"}:
                    if client.models.show(one["id"])["uses"]:
                        in_use += 1
                    else:
                        pruned.append(client.models.change(one["id"], "prune"))
    if as_json:
        terminal.document(pruned)
        return
    for one in pruned:
        terminal.say(model_table.pruned(one))
    if in_use or not pruned:
        terminal.say(f"{in_use} retired models are in use" if in_use else "nothing to remove")


def _added(context: Context, path: Path, form: Mapping[str, str], *, as_json: bool, keep: bool = True) -> None:
    """Send a file, wait until a worker has tried it, show what it is."""
    with context.client() as client:
        model = client.models.add(path, form)
        give_up_at = time.monotonic() + _CHECKED_WITHIN_S
        while model["state"] == "checking" and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            model = client.models.show(model["id"])
    model_table.table([model], as_json=as_json)
    if model["state"] == "refused":
        terminal.complain(f"colega: {model['error']}")
    if model["state"] == "checking":
        terminal.complain(
            f"colega: nobody has tried it yet. See `colega status`, and later `colega models show {model['id']}`."
        )
    if model["state"] not in {"candidate", "active", "retired"}:
        raise typer.Exit(Exit.REFUSED)
    if not keep:
        path.unlink(missing_ok=True)
    if not as_json:
        terminal.say(f"licence: {model_table.licence(model)}")


@contextmanager
def _one_file(path: Path) -> Iterator[Path]:
    """*path*, or a bundle's folder as one file."""
    if not path.is_dir():
        yield path
        return
    if not (path / "model.json").is_file():
        raise InvalidRequest(f"{path} is no bundle: it has no model.json.")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{path.name}.tar"
        with tarfile.open(archive, "w:", format=tarfile.PAX_FORMAT) as tar:
            tar.add(path, arcname=".", filter=_of_nobody)
        yield archive


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same folder gives the same file, whoever packs it when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read as text: {error}.") from error
