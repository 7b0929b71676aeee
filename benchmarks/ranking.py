"""What a person's score is: the mean template against the other ways to compare one probe with several enrolled photos.

    python -m benchmarks.ranking [--json FILE] [--quick]

``lfw_dev`` is dealt into two halves of its people, anew for each seed. On one half a way's setting (a power, a limit, a
share) is chosen: the one with the highest TPIR at FPIR 1% and 5%. It is reported on the other half, and on half of the
people of Georgia Tech. Of those who have more than *n* photos half are enrolled with *n* each, the others of the half are
the strangers; or, "up to 5", half of everybody is enrolled as ``protocols.open_set`` does it. Differences are to the mean
template on the same probes. Their spread is the standard deviation over seeds, which, each seed being half of the people,
is about the standard error of the mean on the whole set. All of it twice: with the photos as they are, and with every third
one small, since those of ``lfw_dev`` are of one size and leave a judge of quality little to tell apart.

"One of 5 wrong" is of people with five photos in the gallery of "up to 5": first all five right, then one of them a
stranger's, at the threshold of FPIR 1% of the clean gallery; and how often other photos of that stranger are given the name.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import chains, datasets, machine
from benchmarks.draws import CASES, Draw, Spoilt, drawn, halves, spoil
from benchmarks.machine import Row
from benchmarks.scores import MEAN, WAYS, Enrolled, agreement
from workers.evaluation import metrics
from workers.evaluation.metrics import Labels, Similarities
from workers.faces.detect import Mode
from workers.faces.pipeline import FacePipeline
from workers.faces.values import Pixels, Vectors

_ONE, *_SEVERAL = CASES
_RATES = (0.01, 0.05)
_SEEDS, _DRAWS = 24, 8
_QUICK_CROPS_OF = 12
_DISAGREES = 0.3
"""A mean similarity to a person's other photos, of three or more, below which a photo may show somebody else."""

Setting = tuple[str, str]
"""A way to score, and its setting."""


@dataclass(frozen=True, slots=True)
class Faces:
    """A set of faces: vectors (n, d), whose each is, and what was judged of each: quality, sharpness, detector's score."""

    vectors: Vectors
    people: Labels
    judged: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Rates:
    """How one score does over all draws of a half."""

    tpir: Mapping[float, float]
    rank1: float
    threshold: Mapping[float, float]


def main() -> None:
    """Read both sets once, then draw."""
    asked = machine.parser(__doc__).parse_args()
    described, _ = machine.describe(), machine.pin()
    lfw = datasets.lfw(photos_of=80 if asked.quick else None)
    crops = [path for path in datasets.georgia_tech() if not asked.quick or _number(path) <= _QUICK_CROPS_OF]
    crop_people = np.array([_number(path) for path in crops])
    rows: list[Row] = []
    notes = ["MTCNN, int8, stored chips; differences in points"]
    for kind, read in {"as they are": _as_it_is, "every third one small": _every_third_small}.items():
        lfw_faces = _read([read(i, path) for i, path in enumerate(lfw.photos)], lfw.people)
        other_faces = _read([read(i, path) for i, path in enumerate(crops)], crop_people)
        more_rows, more_notes = measure(lfw_faces, other_faces, seeds=3 if asked.quick else _SEEDS, kind=kind)
        rows += more_rows
        notes += more_notes
    machine.finish(rows, asked.json, machine=described, notes=notes)


def measure(chosen_on: Faces, second: Faces, *, seeds: int, kind: str) -> tuple[list[Row], list[str]]:
    """All rows for photos of one *kind*, and how often which setting was chosen."""
    found: list[list[dict[tuple[str, str], float]]] = [[], []]
    chosen: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        one, other = halves(chosen_on.people, random)
        settings = _choice(chosen_on, one, random)
        for way, (_, setting) in settings.items():
            chosen[way][setting] += 1
        found[0].append(_figures(chosen_on, other, settings, random))
        found[1].append(_figures(second, halves(second.people, random)[0], settings, random))
    named = zip(("lfw_dev", "Georgia Tech"), found, strict=True)
    rows = [row for name, seen in named for row in _rows(f"{name} {kind}", seen)]
    notes = [f"{kind}, {way}: {_counted(counts)}" for way, counts in chosen.items() if len(WAYS[way]) > 1]
    return rows, notes


def _choice(faces: Faces, half: Labels, random: np.random.Generator) -> dict[str, Setting]:
    """The setting of each way that does best on *half*."""
    every = [(way, setting) for way, settings in WAYS.items() for setting in settings]
    total = dict.fromkeys(every, 0.0)
    for case in _SEVERAL:
        draws = [drawn(faces.people, half, case, random) for _ in range(_DRAWS)]
        for setting, rates in _rates(faces, draws, every).items():
            total[setting] += sum(rates.tpir.values())
    return {way: max(((way, setting) for setting in WAYS[way]), key=total.__getitem__) for way in WAYS}


def _figures(
    faces: Faces, half: Labels, settings: Mapping[str, Setting], random: np.random.Generator
) -> dict[tuple[str, str], float]:
    """By way and metric, in percent."""
    figures: dict[tuple[str, str], float] = {}
    for case in CASES:
        draws = [drawn(faces.people, half, case, random) for _ in range(_DRAWS)]
        found = _rates(faces, draws, list(settings.values()))
        for way, setting in settings.items():
            for rate in _RATES:
                figures[way, f"{case}: TPIR at FPIR {rate:.0%}"] = 100 * found[setting].tpir[rate]
            figures[way, f"{case}: rank-1"] = 100 * found[setting].rank1
    spoilt = [spoil(draw, faces.people, random) for draw in draws]  # The last ones: "up to 5 photos".
    for way, setting in settings.items():
        told = _wrong(faces, spoilt, setting, found[setting].threshold[_RATES[0]])
        names = ("5 right: TPIR", "one of 5 wrong: TPIR", "one of 5 wrong: named who is on it")
        figures |= {(way, name): 100 * share for name, share in zip(names, told, strict=True)}
    wrong, right = _disagreeing(faces, spoilt)
    figures[MEAN, f"wrong photos that agree below {_DISAGREES}"] = 100 * wrong
    figures[MEAN, f"right photos that agree below {_DISAGREES}"] = 100 * right
    return figures


def _rates(faces: Faces, draws: Sequence[Draw], settings: Sequence[Setting]) -> dict[Setting, Rates]:
    highest: dict[Setting, list[Similarities]] = {setting: [] for setting in settings}
    own: dict[Setting, list[Similarities]] = {setting: [] for setting in settings}
    for draw in draws:
        enrolled = _enrolled(faces, draw)
        probes = faces.vectors[np.concatenate([draw.probes, draw.strangers])]
        similarities = probes @ enrolled.vectors.T
        for way, setting in settings:
            scores = WAYS[way][setting](similarities, enrolled)
            mated, non_mated = scores[: len(draw.probes)], scores[len(draw.probes) :]
            highest[way, setting].append(non_mated.max(1))
            own[way, setting].append(np.where(mated.argmax(1) == draw.probe_owners, mated.max(1), -np.inf))
    found: dict[Setting, Rates] = {}
    for each in settings:
        impostors, first = np.concatenate(highest[each]), np.concatenate(own[each])
        thresholds = {rate: metrics.threshold_at(impostors, rate) for rate in _RATES}
        tpir = {rate: metrics.share_accepted(first, threshold) for rate, threshold in thresholds.items()}
        found[each] = Rates(tpir, float(np.isfinite(first).mean()), thresholds)
    return found


def _wrong(faces: Faces, spoilt: Sequence[Spoilt], setting: Setting, threshold: float) -> tuple[float, float, float]:
    """TPIR at *threshold* with right photos and with wrong ones, and how often who is on a wrong one is named."""
    way, name = setting
    shares: list[tuple[NDArray[np.bool_], ...]] = []
    for each in spoilt:
        owners = np.concatenate([each.wrong.probe_owners, each.owners])
        probes = faces.vectors[np.concatenate([each.wrong.probes, each.probes])]
        found = []
        for draw in (each.right, each.wrong):
            enrolled = _enrolled(faces, draw)
            scores = WAYS[way][name](probes @ enrolled.vectors.T, enrolled)
            found.append((scores.argmax(1) == owners) & (scores.max(1) >= np.float32(threshold)))
        mated = len(each.wrong.probes)
        shares.append((found[0][:mated], found[1][:mated], found[1][mated:]))
    right, wrong, named = (float(np.concatenate(part).mean()) for part in zip(*shares, strict=True))
    return right, wrong, named


def _disagreeing(faces: Faces, spoilt: Sequence[Spoilt]) -> tuple[float, float]:
    """Which share of the wrong photos, and of right ones of people with three or more, agrees little with the others."""
    wrong, right = [], []
    for each in spoilt:
        before, after = _enrolled(faces, each.right), _enrolled(faces, each.wrong)
        wrong.append(agreement(after)[each.right.gallery != each.wrong.gallery])
        right.append(agreement(before)[before.counts[before.owners] > 2])
    told, mistaken = (float((np.concatenate(part) < _DISAGREES).mean()) for part in (wrong, right))
    return told, mistaken


def _enrolled(faces: Faces, draw: Draw) -> Enrolled:
    starts = np.flatnonzero(np.diff(draw.owners, prepend=-1))
    judged = {name: values[draw.gallery] for name, values in faces.judged.items()}
    return Enrolled(faces.vectors[draw.gallery], draw.owners, starts, judged)


def _rows(name: str, seen: Sequence[Mapping[tuple[str, str], float]]) -> Iterator[Row]:
    for way, metric in seen[0]:
        values = np.array([figures[way, metric] for figures in seen])
        if way == MEAN:
            yield Row(way, f"{name}, {metric}, %", float(values.mean()))
        elif not metric.startswith(_ONE):  # With one photo all ways are one.
            less = values - np.array([figures[MEAN, metric] for figures in seen])
            yield Row(way, f"{name}, {metric}, %", float(less.mean()))
            yield Row(way, f"{name}, {metric}, spread", float(less.std(ddof=1)))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{setting} ({count})" for setting, count in counts.most_common())


def _number(crop: Path) -> int:
    """Whose a photo of Georgia Tech is, by its folder."""
    return int(crop.parent.name.removeprefix("s"))


def _as_it_is(_: int, path: Path) -> bytes:
    return path.read_bytes()


def _every_third_small(number: int, path: Path) -> bytes:
    """Every third photo, drawn by lot, reduced 2 to 5 times and saved as JPEG 80: a median face of 54 to 22 pixels."""
    random = np.random.default_rng(number)
    if random.random() > 1 / 3:
        return path.read_bytes()
    with Image.open(path) as picture:
        factor = float(np.exp(random.uniform(np.log(2), np.log(5))))
        size = round(picture.width / factor), round(picture.height / factor)
        out = io.BytesIO()
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=80)
    return out.getvalue()


def _read(photos: Sequence[bytes], people: Labels) -> Faces:
    """The face that each photo is labelled for; photos without one are left out."""
    embedder = chains.bundle().embedder("int8")
    pipeline = FacePipeline(chains.every_detector()["MTCNN"], embedder, max_pixels=chains.MAX_PIXELS)
    crops: list[Pixels] = []
    kept: list[int] = []
    judged: list[tuple[float, float, float]] = []
    for i, photo in enumerate(photos):
        reading = pipeline.read(photo, Mode.BALANCED)
        if reading.detections:
            face = reading.face(chains.chosen(reading))
            crops.append(embedder.crop(face.chip))
            judged.append((face.quality.value, face.quality.sharpness, face.detection.score))
            kept.append(i)
    columns = np.array(judged).T
    named = dict(zip(("quality", "sharpness", "detector"), columns, strict=True))
    return Faces(embedder.embed(crops), people[kept], named)


if __name__ == "__main__":
    main()
