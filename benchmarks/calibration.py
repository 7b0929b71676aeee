"""Whether a calibration keeps its word: fitted on half of the people, read on the other half, over random splits.

    python -m benchmarks.calibration [--json FILE] [--quick]

What is asked for is a rate; the calibration of one half answers with a threshold, an interval, and what it costs. What is
then seen among the people of the other half is counted here anew, without the code that fits: the share of
comparisons of a photo with somebody else that are accepted (FMR); the share of strangers' photos for which anybody is named
(FPIR), with each person of the test half in turn the stranger to all others of it, and with half of them enrolled and the
others strangers. Splits are by seed, 0 to 49; what was chosen while this was made
(the bootstrap, the least numbers of people) was chosen on splits of seeds from 1000 on.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets, machine
from benchmarks.machine import Row
from services.calibrated import At, Calibrated, needed_for
from workers.evaluation import calibration, calibration_rates, calibration_scores, metrics
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

SPLITS, _QUICK_SPLITS = 50, 3
FMR, FPIR = (1e-2, 1e-3, 1e-4), (0.01, 0.05, 0.10)
_FEW_FMR = (1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces and whose each is."""

    vectors: Vectors
    people: Labels

    def of(self, people: Labels) -> "Faces":
        """Those of some people."""
        mine = np.isin(self.people, people)
        return Faces(self.vectors[mine], self.people[mine])


@dataclass(slots=True)
class Kept:
    """How one promise was kept, a figure a split."""

    ratios: list[float] = field(default_factory=list)
    by_person: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    missed: list[float] = field(default_factory=list)

    def note(self, at: At, realised: tuple[float, float], missed: float | None = None) -> None:
        """One split: what was told, and what was seen: with photos counted alike, and with people."""
        self.ratios.append(realised[0] / at.rate)
        self.by_person.append(realised[1] / at.rate)
        self.covered.append(at.low <= realised[0] <= at.high)
        self.low.append(at.low / at.rate)
        self.high.append(at.high / at.rate)
        if at.missed is not None and missed is not None:
            self.told.append(at.missed)
            self.missed.append(missed)

    def rows(self, case: str) -> Iterator[Row]:
        """As figures."""
        yield Row(case, "realised / requested, mean", float(np.mean(self.ratios)))
        yield Row(case, "median", float(np.median(self.ratios)))
        yield Row(case, "people counted alike", float(np.mean(self.by_person)))
        yield Row(case, "interval / requested, from", float(np.median(self.low)))
        yield Row(case, "to", float(np.median(self.high)))
        yield Row(case, "% of splits within", 100 * float(np.mean(self.covered)))
        if self.told:
            yield Row(case, "cost told, %", 100 * float(np.mean(self.told)))
            yield Row(case, "cost seen, %", 100 * float(np.mean(self.missed)))


def main() -> None:
    """Read both sets once, then split."""
    asked = machine.parser(__doc__).parse_args()
    described = machine.describe()
    lfw = datasets.lfw()
    crops = datasets.georgia_tech()
    splits = _QUICK_SPLITS if asked.quick else SPLITS
    rows, note = measure(_faces(lfw.photos, lfw.people), splits=splits)
    rows += few(_faces(crops, np.array([int(path.parent.name.removeprefix("s")) for path in crops])), splits=splits)
    machine.finish(rows, asked.json, machine=described, notes=[f"MTCNN, int8, stored chips; {splits} splits", note])


def measure(faces: Faces, *, splits: int) -> tuple[list[Row], str]:
    """``lfw_dev``: half against half; and what is said by a formula that is not used."""
    kept: dict[str, Kept] = defaultdict(Kept)
    naive: list[float] = []
    for seed in range(splits):
        random = np.random.default_rng(seed)
        everybody = random.permutation(np.unique(faces.people))
        half = len(everybody) // 2
        fitted, test = everybody[:half], faces.of(everybody[half:])
        told = _fitted(faces.of(fitted), seed)
        from_fewer = _fitted(faces.of(fitted[: half // 2]), seed)
        inside = everybody[half : half + half // 2]
        enrolled, strangers = test.of(inside), test.of(np.setdiff1d(everybody[half:], inside))
        for rate in FMR:
            at = told.at_fmr(rate)
            kept[f"FMR {rate:g}"].note(at, _fmr(test, test, at.threshold), _fnmr(test, at.threshold))
            at = told.at_fmr(rate, "pairs")
            kept[f"FMR {rate:g}, one photo"].note(at, _fmr(test, _one_each(test, random), at.threshold))
        others = len(everybody) - half - 1
        for rate in FPIR:
            at = told.at_fpir(rate, others)
            seen = _fpir(test, test, at.threshold), _fnir(test, at.threshold)
            kept[f"FPIR {rate:.0%}, {others} people, each in turn"].note(at, *seen)
            if rate == 0.05:
                naive.append(1 - (1 - (told.fmr_of(at.threshold) or 0.0)) ** others)
            at = told.at_fpir(rate, len(inside))
            kept[f"FPIR {rate:.0%}, {len(inside)} people, the others strangers"].note(
                at, _fpir(strangers, enrolled, at.threshold)
            )
            if from_fewer.has("fpir", rate):
                at = from_fewer.at_fpir(rate, others)
                name = f"FPIR {rate:.0%}, {others} people, each in turn; fitted on {half // 2}"
                kept[name].note(at, _fpir(test, test, at.threshold), _fnir(test, at.threshold))
    rows = [row for name, promise in kept.items() for row in promise.rows(f"lfw_dev, {name}")]
    said = float(np.mean(naive)) / 0.05
    return rows, f"where FPIR 5% is asked for, 1 - (1 - FMR)^people says {said:.2f} times as much"


def few(faces: Faces, *, splits: int) -> list[Row]:
    """Georgia Tech: 25 people against 25. Below the least number of people, what a calibration does not tell."""
    kept: dict[float, Kept] = defaultdict(Kept)
    for seed in range(splits):
        everybody = np.random.default_rng(seed).permutation(np.unique(faces.people))
        half = len(everybody) // 2
        mine, test = faces.of(everybody[:half]), faces.of(everybody[half:])
        matches = calibration_scores.matches(mine.vectors, mine.people, one_photo=False, seed=seed)
        drawn = calibration_rates.drawn(matches.people, calibration.REPLICATES, seed)
        others = np.stack([calibration_rates.match_rates(matches, times) for times in drawn])
        for rate in _FEW_FMR:
            found = calibration_rates.decided(calibration_rates.match_rates(matches), others, rate)
            if found is not None:
                at = At(rate, calibration_scores.cosine(found.level), min(found.low, rate), max(found.high, rate), None)
                kept[rate].note(at, _fmr(test, test, at.threshold))
    told = {rate: "" if _is_told(rate, half) else ", not told: too few people" for rate in _FEW_FMR}
    return [row for rate in _FEW_FMR for row in kept[rate].rows(f"Georgia Tech, FMR {rate:g}{told[rate]}")]


def _is_told(rate: float, people: int) -> bool:
    return needed_for("fmr", rate, calibration.NEEDS) <= people


def _fitted(faces: Faces, seed: int) -> Calibrated:
    """As a gateway reads it."""
    return Calibrated(calibration.fit(faces.vectors, faces.people, seed=seed).curves())


def _fmr(probes: Faces, enrolled: Faces, threshold: float) -> tuple[float, float]:
    """The mean over photos, and over people."""
    named, similarities = metrics.person_scores(probes.vectors, enrolled.vectors, enrolled.people)
    other = named[None] != probes.people[:, None]
    shares = ((similarities >= threshold) & other).sum(1) / other.sum(1)
    return float(shares.mean()), _over_people(shares, probes.people)


def _fpir(probes: Faces, enrolled: Faces, threshold: float) -> tuple[float, float]:
    """The mean over strangers' photos, and over strangers; who is enrolled is a stranger to all others."""
    named, similarities = metrics.person_scores(probes.vectors, enrolled.vectors, enrolled.people)
    accepted = ((similarities >= threshold) & (named[None] != probes.people[:, None])).any(1).astype(np.float64)
    return float(accepted.mean()), _over_people(accepted, probes.people)


def _fnmr(faces: Faces, threshold: float) -> float:
    """Of people with two photos or more, each photo against the person's others."""
    return _refused(faces, threshold, first=False)


def _fnir(faces: Faces, threshold: float) -> float:
    """As :func:`_fnmr`, in a gallery of everybody, where another may be more similar."""
    return _refused(faces, threshold, first=True)


def _refused(faces: Faces, threshold: float, *, first: bool) -> float:
    named, similarities = metrics.person_scores(faces.vectors, faces.vectors, faces.people)
    similarities[named[None] == faces.people[:, None]] = -1
    missed: list[bool] = []
    for person in named.tolist():
        rows = np.flatnonzero(faces.people == person)
        for row in rows if len(rows) > 1 else []:
            mean = faces.vectors[rows[rows != row]].sum(0)
            own = float(faces.vectors[row] @ mean / np.linalg.norm(mean))
            missed.append(own < threshold or (first and own < similarities[row].max()))
    return float(np.mean(missed))


def _over_people(shares: NDArray[np.float64], people: Labels) -> float:
    numbers = np.unique(people, return_inverse=True)[1]
    return float((np.bincount(numbers, shares) / np.bincount(numbers)).mean())


def _one_each(faces: Faces, random: np.random.Generator) -> Faces:
    order = random.permutation(len(faces.people))
    rows = order[np.unique(faces.people[order], return_index=True)[1]]
    return Faces(faces.vectors[rows], faces.people[rows])


def _faces(photos: Sequence[Path], people: Labels) -> Faces:
    embedder = chains.bundle().embedder("int8")
    crops = chains.stored_crops(chains.every_detector()["MTCNN"], embedder, photos)
    there = np.array([crop is not None for crop in crops])
    return Faces(chains.vectors(embedder, crops)[there], people[there])


if __name__ == "__main__":
    main()
