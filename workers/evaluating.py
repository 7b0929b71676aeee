"""Evaluating: how good one or more models are on labelled faces, as figures, as plots, and as a report to look at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from services.errors import InvalidRequest
from workers import galleries, labelled
from workers.evaluation import bootstrap, figures, groups, measuring, plots, reports
from workers.evaluation.measuring import Faces
from workers.evaluation.reports import Judged, Report
from workers.galleries import Gallery
from workers.models import siamese
from workers.models.bundle import Bundle
from workers.models.heads import Head
from workers.models.siamese import Siamese
from workers.workbench import Workbench

_LISTED = 100
_FEW = 100
_HEAD = " + Siamese head"
Variant = Literal["auto", "fp32", "int8"]


def evaluate(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Measure models on labelled faces.

    Args:
        wanted: ``models``: names, ids or folders, each perhaps with ``@fp32`` or ``@int8`` (else the collection's or the
            default one, in the variant that this machine uses); a model with a Siamese head is measured by the cosine and
            by its head, the folder of a Siamese network from scratch by that. ``pairs``: a pair file, whose paths are relative to ``dataset`` or to its own folder; without it the
            faces are the bench's gallery. ``groups``: a CSV file, or by person's name the group in each column.
            ``thumbnails``: whether the report shows faces (true). ``draws`` of the bootstrap (1000), ``trials`` of each
            one-shot figure (20,000), ``seed`` (0).
        bench: What is at hand. Keeps ``report.html``, ``figures.json`` and a PNG for every plot.

    Returns:
        The figures of the first model (``verification``, ``identification``, ``n_way``, ``failure_to_detect``, …), those of
        every model under ``models``, what they were measured on under ``source``.

    Raises:
        InvalidRequest: The labels cannot be read, or too little can be told from them; says what is wrong, and where.
        NotFound, InvalidModel: A file, a directory or a model is not there, or cannot be used.
        Cancelled: Nobody wants the rest.
    """
    draws, trials, seed = (
        _number(wanted, name, default)
        for name, default in (("draws", bootstrap.DRAWS), ("trials", measuring.TRIALS), ("seed", 0))
    )
    bundles = [_asked(model, bench) for model in _models(wanted)]
    gallery, faces, notes = _faces(wanted, bench, draws=draws, seed=seed)
    judged: list[Judged] = []
    for place, (bundle, variant) in enumerate(bundles):
        judged += _judge(bundle, variant, faces, gallery, bench, (place, len(bundles)), trials)
    judged = _called_apart(judged)
    for i, one in enumerate(judged[1:], start=1):
        apart = figures.differences(judged[0].measured, one.measured)
        judged[i] = replace(one, figures={**one.figures, "difference_to_first": apart})
    source = _source(wanted, gallery, faces)
    report = Report(
        _title(wanted),
        source,
        judged,
        plots.every([(one.name, one.measured) for one in judged]),
        {"draws": draws, "trials": trials, "seed": seed},
        thumbnails=bool(wanted.get("thumbnails", True)),
        notes=[*notes, *_notes(gallery, faces)],
    )
    report.pairs = {
        one.name: reports.worst(one.measured, faces, gallery, thumbnails=report.thumbnails) for one in judged
    }
    result = {
        **judged[0].figures,
        "models": [{"name": one.name, **one.about, **one.figures} for one in judged],
        "source": source,
        "notes": report.notes,
        "how": report.how,
    }
    _keep(report, result, bench)
    return result


def _models(wanted: Mapping[str, Any]) -> list[str | None]:
    asked = wanted.get("models") or wanted.get("model")
    if not asked:
        return [None]
    return [asked] if isinstance(asked, str) else list(asked)


def _number(wanted: Mapping[str, Any], name: str, default: int) -> int:
    value = wanted.get(name, default)
    least = 0 if name == "seed" else 1
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1_000_000:
        raise InvalidRequest(f"{name} is {value!r}; a whole number from {least} to 1,000,000 is needed.")
    return value


def _asked(model: str | None, bench: Workbench) -> tuple[Bundle | Siamese, Variant]:
    if model and (Path(model) / siamese.DESCRIPTION).is_file():
        return Siamese.open(Path(model)), "auto"
    name, at, variant = (model or "").rpartition("@")
    if at and variant in {"fp32", "int8"}:
        return bench.bundle(name or None), cast("Variant", variant)
    return bench.bundle(model), "auto"


def _faces(wanted: Mapping[str, Any], bench: Workbench, *, draws: int, seed: int) -> tuple[Gallery, Faces, list[str]]:
    notes: list[str] = []
    told = wanted.get("groups")
    table = None
    if told:
        table = groups.of_people(told) if isinstance(told, Mapping) else groups.read(Path(told))

    def columns_for(gallery: Gallery) -> list[groups.Column]:
        if table is None:
            return []
        photos, paths = measuring.photos_of(gallery), measuring.paths_of(gallery)
        found, odd = groups.columns_of(table, gallery.names, paths, photos)
        notes.extend(odd)
        return found

    if (pairs := wanted.get("pairs")) is None:
        gallery = bench.gallery()
        faces = measuring.of_gallery(gallery, columns_for(gallery), draws=draws, seed=seed)
        return gallery, faces, notes
    directory = wanted.get("dataset")
    gallery, listed = labelled.of_pairs(
        Path(pairs),
        None if directory is None else Path(directory),
        bench.detector(),
        max_pixels=bench.max_pixels,
        told=lambda done, total: bench.tell({"stage": "photos", "done": done, "total": total}),
    )
    faces = measuring.of_pairs(gallery, listed, columns_for(gallery), draws=draws, seed=seed)
    return gallery, faces, notes


def _judge(
    bundle: Bundle | Siamese,
    variant: Variant,
    faces: Faces,
    gallery: Gallery,
    bench: Workbench,
    place: tuple[int, int],
    trials: int,
) -> list[Judged]:
    """The figures of a model, and of its Siamese head where it has one."""
    embedder = bundle.embedder() if isinstance(bundle, Siamese) else bundle.embedder(variant)
    told = {"model": bundle.name, "number": place[0] + 1, "of": place[1]}
    vectors = galleries.embedded(
        gallery,
        embedder,
        lambda done, total: bench.tell({"stage": "vectors", "done": done, "total": total, **told}),
    )
    about = {
        "kind": "cosine",
        "digest": bundle.digest,
        "variant": embedder.variant,
        "dimension": bundle.dimension,
        "licence": bundle.licence,
    }
    del embedder
    bench.tell({"stage": "figures", **told})
    if isinstance(bundle, Siamese):  # The cosine of its vectors means nothing.
        by_network = measuring.measured(faces, vectors, compare=bundle.head.log_odds, trials=trials)
        said = figures.of(by_network, faces, searches=False)
        return [Judged(bundle.name, about | {"kind": "siamese-network"}, by_network, said)]
    measured = measuring.measured(faces, vectors, trials=trials)
    judged = [Judged(bundle.name, about, measured, figures.of(measured, faces))]
    if bundle.head is not None:
        bench.tell({"stage": "figures of the head", **told})
        compare = Head.of_json(bundle.head, bundle.dimension).log_odds
        by_head = measuring.measured(faces, vectors, compare=compare, trials=trials)
        said = figures.of(by_head, faces, searches=False)
        judged.append(Judged(bundle.name + _HEAD, about | {"kind": "siamese-head"}, by_head, said))
    return judged


def _called_apart(judged: Sequence[Judged]) -> list[Judged]:
    """The same, each with a name of its own: with its variant where models are called the same, and its digest if need be."""
    for more in ("variant", "digest"):
        names = [one.name for one in judged]
        judged = [
            one if names.count(one.name) == 1 else replace(one, name=f"{one.name} {str(one.about[more])[:8]}")
            for one in judged
        ]
    names = [one.name for one in judged]
    return [one for place, one in enumerate(judged) if one.name not in names[:place]]


def _source(wanted: Mapping[str, Any], gallery: Gallery, faces: Faces) -> dict[str, Any]:
    kind = "pairs" if wanted.get("pairs") else "directory" if wanted.get("dataset") else "collection"
    return {
        "kind": kind,
        "people": faces.photos.everybody,
        "people_told_apart": faces.identified,
        "people_with_two_photos": measuring.people_for_shots(faces),
        "photos": len(faces.paths) + len(gallery.unreadable),
        "faces": faces.photos.found,
        "undetected": {"count": len(gallery.undetected), "photos": list(gallery.undetected[:_LISTED])},
        "unreadable": {"count": len(gallery.unreadable), "photos": dict(list(gallery.unreadable.items())[:_LISTED])},
    }


def _title(wanted: Mapping[str, Any]) -> str:
    for name in ("pairs", "dataset"):
        if wanted.get(name):
            return Path(wanted[name]).name
    return str(wanted.get("collection") or "The collection")


def _notes(gallery: Gallery, faces: Faces) -> list[str]:
    """What a reader should know of the set before trusting its figures."""
    notes: list[str] = []
    pairs = faces.pairs
    if pairs.non_mated_share < 1 or pairs.mated_share < 1:
        notes.append(
            f"The set is large: {len(pairs.non_mated):,} of its pairs of two people ({pairs.non_mated_share:.3%}) and "
            f"{len(pairs.mated):,} of one person ({pairs.mated_share:.3%}) were compared, drawn evenly with a seed."
        )
    counts = sorted(measuring.mated_by_person(faces).tolist(), reverse=True)
    if len(counts) > 10 and sum(counts[:5]) > sum(counts) / 2:
        notes.append(
            f"Five people give {sum(counts[:5]) / sum(counts):.0%} of the pairs of one person, because they have many photos: "
            "TMR is mostly theirs. The interval, which draws people anew, shows how much that matters."
        )
    if len(pairs.mated) < _FEW:
        few = "is only one pair" if len(pairs.mated) == 1 else f"are only {len(pairs.mated)} pairs"
        notes.append(
            f"There {few} of one person: one more or less that is recognised moves TMR by {1 / len(pairs.mated):.0%}. "
            "Add photos before you decide anything by these figures."
        )
    if gallery.unreadable:
        notes.append(f"Left out, because they could not be read as photos: {_files(len(gallery.unreadable))}.")
    if gallery.undetected:
        notes.append(
            f"No face was found in {_files(len(gallery.undetected), 'photo')}; asked for, they count as missed."
        )
    if not faces.identified:
        notes.append(
            "The list does not tell all people apart: nobody is searched for, and a person is what its pairs connect."
        )
    return notes


def _files(count: int, what: str = "file") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _keep(report: Report, result: Mapping[str, Any], bench: Workbench) -> None:
    bench.tell({"stage": "report"})
    folder = bench.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(reports.html(report), "utf-8")
    (folder / "figures.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for drawn in report.plots:
        drawn.png(folder / f"{drawn.name}.png")
    for path in sorted(folder.iterdir()):
        bench.keep(path.name, path)
