"""What a comparison in the shadow says, as JSON says it: how alike the answers are, how scores shift, who is more accurate."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.evaluation import bootstrap, identification, metrics, pairing, verification
from workers.evaluation.bootstrap import Draws, Weights
from workers.evaluation.figures import Figures
from workers.evaluation.metrics import Similarities
from workers.evaluation.pairing import Photos
from workers.evaluation.shadow import PLACES, Answers, Asked, Found, Persons, Shadow, overlap

KS = (1, 5, PLACES)
FMR, FPIR = 1e-3, 0.05
ACCURACY = ("rank1", "tmr_at_fmr_1e-3", "fnir_at_fpir_5e-2")
"""Of both models; the first two are better when larger, the last when smaller."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
RIGHT, WRONG, UNKNOWN = "right", "wrong", "unknown"

Thresholds = tuple[float | None, float | None]
"""From which similarity a search accepts before and after; None where it cannot decide."""


def of_gallery(asked: Asked, thresholds: Thresholds) -> Figures:
    """How alike the two answer searches by enrolled faces."""
    before, after, probes = asked.before, asked.after, asked.probes
    mated = probes.mated
    others = asked.everybody - 1
    counted = {
        "both_right": before.right & after.right,
        "only_before": before.right & ~after.right,
        "only_after": ~before.right & after.right,
        "neither": ~before.right & ~after.right,
    }
    return {
        "searches": {"mated": int(mated.sum()), "all": len(mated), "people": len(np.unique(probes.persons))},
        "overlap": _overlaps(before.first, after.first, others),
        "rank1_agreement": _mean(overlap(before.first, after.first, 1)) if others > 1 else None,
        "rank1": {what: int((rows & mated).sum()) for what, rows in counted.items()} if others > 0 else None,
        "scores": {
            "mated": shifted(before.own[mated], after.own[mated]),
            "non_mated": shifted(before.other_score, after.other_score) if others > 0 else None,
            "separation": {
                "before": _separation(before.own[mated], before.other_score) if others > 0 else None,
                "after": _separation(after.own[mated], after.other_score) if others > 0 else None,
            },
        },
        "decisions": _decisions(asked, thresholds),
    }


def of_queries(asked: Asked, thresholds: Thresholds) -> Figures | None:
    """How alike the two answer recent real queries; None where there are none."""
    before, after = asked.queries
    if not len(before.first):
        return None
    return {
        "count": len(before.first),
        "overlap": _overlaps(before.first, after.first, asked.everybody),
        "rank1_agreement": _mean(overlap(before.first, after.first, 1)) if asked.everybody > 1 else None,
        "scores": shifted(before.scores[:, 0], after.scores[:, 0]),
        "decisions": _named_alike(before, after, thresholds),
    }


def accuracy(shadow: Shadow, asked: Asked, *, draws: int, seed: int) -> tuple[Figures, dict[str, str]]:
    """How accurate both are on the faces that were searched with, and why what is null is null.

    Rank-1 and FNIR are of searches among everybody; TMR is of pairs of these faces. Differences have intervals over the same
    draws of people.
    """
    if not asked.everybody:
        return dict.fromkeys(ACCURACY), {
            f"accuracy.{what}": "Nobody has a face in both generations." for what in ACCURACY
        }
    rows, persons = asked.probes.rows, asked.probes.persons
    _, people = np.unique(persons, return_inverse=True)
    photos = Photos(people.astype(np.int64), len(rows), int(people.max()) + 1)
    weights = bootstrap.drawn(photos.everybody, draws, seed)
    measured: dict[str, Figures | None] = dict.fromkeys(ACCURACY)
    why: dict[str, str] = {}
    why_not = identification.why_not(photos)
    if why_not is None:
        measured["rank1"] = _rank1(asked, photos, weights)
    else:
        why["accuracy.rank1"] = f"Too few people: {why_not}"
    measured["tmr_at_fmr_1e-3"], lacking = _tmr(shadow, rows, photos, weights, seed)
    if lacking is not None:
        why["accuracy.tmr_at_fmr_1e-3"] = lacking
    if why_not is None and metrics.can_show(FPIR, photos.everybody):
        measured["fnir_at_fpir_5e-2"] = _fnir(asked, photos, weights)
    else:
        least = round(metrics.LEAST_EVENTS / FPIR)
        why["accuracy.fnir_at_fpir_5e-2"] = why_not or (
            f"Too few people to be strangers: {photos.everybody} were searched for; {least} are needed."
        )
    return dict(measured), why


def outcome(answers: Answers, threshold: float) -> NDArray[np.int64]:
    """(p,): what a search by each probe ends with: 0 the right person, 1 a wrong one, 2 unknown."""
    named = np.where(answers.rank > 0, np.fmax(answers.own, answers.other_score), answers.other_score) >= threshold
    return np.where(~named, 2, np.where(answers.right, 0, 1)).astype(np.int64)


def unsaid(asked: Asked, figures: Mapping[str, Any]) -> dict[str, str]:
    """Why what is null about the searches is null."""
    people = (
        f"only {asked.everybody:,} {'person is' if asked.everybody == 1 else 'people are'} enrolled under both models."
    )
    why = {
        f"gallery.overlap.{k}": f"The first {k} would be nearly everybody: {people}"
        for k, share in figures["gallery"]["overlap"].items()
        if share is None
    }
    if figures["gallery"]["decisions"] is None:
        why["gallery.decisions"] = "Searches could not decide under one of the models, or there is nobody else."
    if not figures["gallery"]["searches"]["mated"]:
        why["gallery.scores.mated"] = "Nobody has two faces: no face can be looked for among a person's others."
    if figures["queries"] is None:
        why["queries"] = "No recent searches were kept for it (COLEGA_SHADOW_QUERIES)."
    return why


def _overlaps(one: Persons, other: Persons, candidates: int) -> dict[str, float | None]:
    """By k; None where the first k are nearly everybody there is to be found."""
    return {str(k): _mean(overlap(one, other, k)) if candidates > k else None for k in KS}


def shifted(before: Similarities, after: Similarities) -> Figures | None:
    """How scores of the same searches are spread before and after, and how far each moves; None where there are none."""
    if not len(before):
        return None
    by_probe = after.astype(np.float64) - before
    return {
        "count": len(before),
        "before": _spread(before),
        "after": _spread(after),
        "mean_shift": _short(by_probe.mean()),
        "median_shift": _short(np.median(by_probe)),
    }


def _spread(scores: Similarities) -> Figures:
    found = np.quantile(scores.astype(np.float64), QUANTILES)
    said = {f"{share:g}": _short(value) for share, value in zip(QUANTILES, found, strict=True)}
    return {"mean": _short(scores.mean()), "std": _short(scores.std()), "quantiles": said}


def _separation(mated: Similarities, non_mated: Similarities) -> float | None:
    """How many standard deviations the two kinds of scores are apart (d')."""
    if not len(mated) or not len(non_mated):
        return None
    spread = float(np.sqrt((mated.var() + non_mated.var()) / 2))
    return _short((mated.mean() - non_mated.mean()) / spread) if spread > 0 else None


def _decisions(asked: Asked, thresholds: Thresholds) -> Figures | None:
    """Counts of what searches ended with before, and after."""
    old, new = thresholds
    if old is None or new is None or asked.everybody < 2:
        return None
    names, mated = (RIGHT, WRONG, UNKNOWN), asked.probes.mated
    before, after = outcome(asked.before, old)[mated], outcome(asked.after, new)[mated]
    table = {
        one: {other: int(((before == i) & (after == j)).sum()) for j, other in enumerate(names)}
        for i, one in enumerate(names)
    }
    was, now = asked.before.other_score >= old, asked.after.other_score >= new
    strangers = {"both": was & now, "only_before": was & ~now, "only_after": ~was & now, "neither": ~was & ~now}
    return {
        "thresholds": {"before": _short(old), "after": _short(new)},
        "mated": table,
        "changed": int((before != after).sum()),
        "strangers_named": {what: int(rows.sum()) for what, rows in strangers.items()},
    }


def _named_alike(before: Found, after: Found, thresholds: Thresholds) -> dict[str, int] | None:
    old, new = thresholds
    if old is None or new is None:
        return None
    was, now = before.scores[:, 0] >= old, after.scores[:, 0] >= new
    same = before.first[:, 0] == after.first[:, 0]
    counted = {
        "same_person": was & now & same,
        "another_person": was & now & ~same,
        "no_longer_named": was & ~now,
        "newly_named": ~was & now,
        "unknown_to_both": ~was & ~now,
    }
    return {what: int(rows.sum()) for what, rows in counted.items()}


def _rank1(asked: Asked, photos: Photos, weights: Weights) -> Figures:
    mated = asked.probes.mated
    counts = bootstrap.by_person(photos.people, mated, photos.everybody)
    hits = [bootstrap.by_person(photos.people, a.right & mated, photos.everybody) for a in (asked.before, asked.after)]
    shares = [float(each.sum() / counts.sum()) for each in hits]
    return _beside(shares, [bootstrap.share_draws(each, counts, weights) for each in hits])


def _tmr(
    shadow: Shadow, rows: NDArray[np.int64], photos: Photos, weights: Weights, seed: int
) -> tuple[Figures | None, str | None]:
    pairs = pairing.every_pair(photos, seed)
    mated, non_mated = len(pairs.mated), len(pairs.non_mated)
    if mated < verification.LEAST_PAIRS:
        return None, f"Not enough pairs of one person: {mated}; {verification.LEAST_PAIRS} are needed."
    if not metrics.can_show(FMR, non_mated):
        least = round(metrics.LEAST_EVENTS / FMR)
        return None, f"Not enough pairs of two people: {non_mated:,}; {least:,} are needed."
    shares, draws = [], []
    for side in (shadow.before, shadow.after):
        said = pairing.scored(side.vectors[rows], photos, pairs)
        shares.append(metrics.share_accepted(said.mated, metrics.threshold_at(said.non_mated, FMR)))
        draws.append(bootstrap.tmr_draws(said, pairs, photos, [FMR], weights)[FMR])
    return {**_beside(shares, draws), "pairs": {"mated": mated, "non_mated": non_mated}}, None


def _fnir(asked: Asked, photos: Photos, weights: Weights) -> Figures:
    mated = asked.probes.mated
    shares, draws = [], []
    for answers in (asked.before, asked.after):
        own, first = answers.own[mated], answers.right[mated]
        level = np.float32(metrics.threshold_at(answers.other_score, FPIR))
        shares.append(1 - float((first & (own >= level)).mean()))
        strangers = answers.other_score, photos.people
        draws.append(bootstrap.fnir_draws(own, first, photos.people[mated], *strangers, [FPIR], weights)[FPIR])
    return _beside(shares, draws)


def _beside(shares: list[float], draws: list[Draws]) -> Figures:
    """Both figures, and how far they are apart, with intervals."""
    return {
        "before": _short(shares[0]),
        "after": _short(shares[1]),
        "difference": _short(shares[1] - shares[0]),
        "before_interval": _interval(draws[0]),
        "after_interval": _interval(draws[1]),
        "difference_interval": _interval(draws[1] - draws[0]),
    }


def _interval(values: Draws) -> list[float] | None:
    found = bootstrap.interval(values)
    return None if found is None else [_short(each) for each in found]


def _mean(shares: NDArray[np.float64]) -> float | None:
    return _short(shares.mean()) if len(shares) else None


def _short(value: float | np.floating) -> float:
    return round(float(value), 6)
