"""A rebuild and a switch under load: failed requests, mixed answers, and the slowest hundredth of searches."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import Row
from benchmarks.rebuild import alone, gallery, mixing, proof
from benchmarks.rebuild.asked import Asked, Told
from benchmarks.rebuild.load import CLIENTS, NEWCOMERS_A_SECOND, Load, Search, queries
from benchmarks.rebuild.mixing import Expected
from benchmarks.rebuild.service import Rebuilding, seconds

OLD = "casia-webface"
_QUERIES = 48
_MIXED = (
    "mixed: any similarity that the model which the answer names does not say (by 0.003), or another's threshold; each "
    "answer was compared with both models' own similarities to everybody, worked out from the stored vectors"
)


def told(asked: Asked) -> Told:
    """The same load without a rebuild, during one with its switch, and across a rollback and back."""
    without_s, after_s = (10.0, 4.0) if asked.quick else (60.0, 10.0)
    with gallery.served(asked, "switching") as service:
        photos = mixing.one_face_only(queries(gallery.photos(asked), _QUERIES))
        bounds = {OLD: [_threshold(service, photos[0])]}
        with Load(service, photos) as load:
            time.sleep(3.0)  # Until every process has seen a photo.
            begin = time.monotonic()
            time.sleep(without_s)
            asked_at = time.monotonic()
            rebuild = service.rebuild(model=gallery.NEW, switch="auto")
            found = service.wait(rebuild, ("switched",))
            switched_at = time.monotonic()
            time.sleep(after_s)
            _, back_s = service.change(rebuild, "rollback")
            back_at = time.monotonic()
            time.sleep(after_s)
            _, again_s = service.change(rebuild, "switch")
            service.wait(rebuild, ("switched",))
            time.sleep(after_s)
            end = time.monotonic()
        _all_in(service, load)
        bounds[gallery.NEW] = [_threshold(service, photos[0])]
        service.change(rebuild, "rollback")
        bounds[OLD].append(_threshold(service, photos[0]))
        names = service.models()
        embedders = {name: alone.bundle_in(service.data, name).embedder("auto") for name in (OLD, gallery.NEW)}
        said = mixing.expected(service.catalog(), embedders, photos, _spread(bounds))
        steps = seconds(found, service.catalog())
        embedded_at = asked_at + steps["planned"] + steps["embedded"]
        lost = proof.wrong(service.catalog())
    phases = {
        "without a rebuild": (begin, asked_at),
        "during rebuild and switch": (asked_at, switched_at + 1.0),
        "rollback and back": (switched_at + 1.0, end),
    }
    slow: list[str] = []
    rows = [row for case, (start, stop) in phases.items() for row in _phase(load, case, start, stop, said, names)]
    without, during = (
        _slow(load.between(*phases[case])) for case in ("without a rebuild", "during rebuild and switch")
    )
    for what, start, stop in (("embedded", asked_at, embedded_at), ("compared and switched", embedded_at, switched_at)):
        rows.append(Row("rebuild under load", f"p99 while it is {what}, ms", _slow(load.between(start, stop))))
        slowest = sorted(load.between(start, stop), key=lambda search: -search.took_s)[:12]
        slow_at = sorted(round(search.began_at - asked_at, 1) for search in slowest)
        slow.append(f"the twelve slowest searches while it was {what} began {slow_at} s after it was asked for")
    rows += [
        Row("p99 of a search", "ms, during rebuild and switch", during, "without a rebuild", without, during / without),
        Row("rebuild under load", "from asking to switched, s", switched_at - asked_at),
        *(Row("rebuild under load", f"{step}, s", s) for step, s in steps.items()),
        Row("rebuild under load", "rollback, ms", 1000 * back_s),
        Row("rebuild under load", "switch back to the new model, ms", 1000 * again_s),
        Row(
            "rebuild under load",
            "first answer of the old model after the rollback, ms",
            _first(load, back_at - back_s, OLD, names),
        ),
        Row("rebuild under load", "newcomers not taken", float(len(load.refused))),
        Row("rebuild under load", "faces without or with too many embeddings", float(len(lost))),
    ]
    notes = [
        f"{CLIENTS} clients search without a pause among {len(photos)} photos, {NEWCOMERS_A_SECOND:g} newcomers a second are taken in",
        _MIXED,
        *slow,
    ]
    problems = [search.problem for search in load.searches if search.problem is not None]
    return Told(rows, [*notes, *(f"failed: {problem}" for problem in sorted(set(problems))[:5]), *lost])


def _phase(load: Load, case: str, begin: float, end: float, said: Expected, names: Mapping[str, str]) -> list[Row]:
    searches = load.between(begin, end)
    times = np.array([search.took_s for search in searches]) * 1000
    answered = [search for search in searches if search.answer is not None]
    by_model = [names.get(search.answer["model"], search.answer["model"]) for search in answered if search.answer]
    mixed = sum(not _is_whole(search, name, said) for search, name in zip(answered, by_model, strict=True))
    unlike = sum(
        not any(said.is_of(o, s.query, s.answer or {}) for o in said.similarities if o != name)
        for s, name in zip(answered, by_model, strict=True)
    )
    return [
        Row(case, "searches", float(len(searches))),
        Row(case, "failed", float(len(searches) - len(answered))),
        Row(case, "mixed", float(mixed)),
        Row(case, "answers that the other model would not give", float(unlike)),
        *(Row(case, f"answered by {name}", float(by_model.count(name))) for name in (OLD, gallery.NEW)),
        Row(case, "searches/s", len(searches) / (end - begin)),
        Row(case, "newcomers/s", load.newcomers_between(begin, end) / (end - begin)),
        *(Row(case, f"p{q} ms", float(np.percentile(times, q))) for q in (50, 95, 99)),
        Row(case, "slowest ms", float(times.max())),
    ]


def _is_whole(search: Search, name: str, said: Expected) -> bool:
    assert search.answer is not None
    return (
        name in said.similarities
        and said.is_of(name, search.query, search.answer)
        and said.is_decided_by(name, search.answer)
    )


def _slow(searches: Sequence[Search]) -> float:
    return float(np.percentile([search.took_s for search in searches], 99)) * 1000


def _first(load: Load, since: float, model: str, names: Mapping[str, str]) -> float:
    """Milliseconds until the first answer of *model* to a search that began after *since*."""
    ends = [
        search.began_at + search.took_s
        for search in load.searches
        if search.began_at >= since and search.answer is not None and names.get(search.answer["model"]) == model
    ]
    return 1000 * (min(ends, default=float("nan")) - since)


def _threshold(service: Rebuilding, photo: Path) -> float:
    with service.client() as client:
        answer = client.post("/v1/search", files={"photo": ("query.jpg", photo.read_bytes())}).raise_for_status()
    return float(answer.json()["threshold"])


def _spread(bounds: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """The bounds, with what a gallery that grew meanwhile moves them."""
    moved = max(bounds[OLD]) - min(bounds[OLD])
    return {name: (min(at) - moved - 0.01, max(at) + moved + 0.01) for name, at in bounds.items()}


def _all_in(service: Rebuilding, load: Load) -> None:
    """Wait until every newcomer is findable."""
    with service.client() as client:
        for job in load.jobs:
            while client.get(f"/v1/jobs/{job}").json()["state"] not in {"done", "failed", "cancelled"}:
                time.sleep(0.05)
