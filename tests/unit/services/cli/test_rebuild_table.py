"""What people read of rebuilds: how far one is, what it takes, how it compares."""

from typing import Any

import pytest

from services.cli import rebuild_table

PLAN = {
    "source": "chips",
    "faces": 1_000_000,
    "photos": 900_000,
    "cut_again": 3,
    "missing": 2,
    "workers": 8,
    "seconds": 5400.0,
    "memory_bytes": 2_060_000_000,
    "catalog_bytes": 1_024_000_000,
    "store_bytes": 0,
}
COMPARISON = {
    "accuracy": {
        "rank1": {"before": 0.985, "after": 0.988, "difference": 0.003, "difference_interval": [-0.004, 0.01]},
        "tmr_at_fmr_1e-3": None,
    },
    "decides": {"before": {"threshold": 0.4331}, "after": {"threshold": None}},
    "gallery": {"overlap": {"1": 0.736, "5": None}, "rank1_agreement": 0.736},
    "queries": None,
    "not_said": {"queries": "No recent searches were kept for it."},
}


def rebuild(**told: Any) -> dict[str, Any]:
    progress = {"total": 4000, "done": 1000, "faces": 1000, "rate": None, "eta_s": None}
    shown = {"state": "embedding", "source": "chips", "model": "new", "detector": "mtcnn", "progress": progress}
    return {**shown, "before": {"model": "old"}, "plan": None, "comparison": None, **told}


@pytest.mark.parametrize(
    ("rate", "eta_s", "said"),
    [
        (None, None, "embedding: 1,000 of 4,000 faces"),
        (412.4, 7.3, "embedding: 1,000 of 4,000 faces, 412 a second, 7 s left"),
        (0.5, 6000.0, "embedding: 1,000 of 4,000 faces, 0.5 a second, 100 min left"),
        (0.5, 90_000.0, "embedding: 1,000 of 4,000 faces, 0.5 a second, 25.0 h left"),
    ],
)
def test_progress_says_rate_and_time_left_where_they_are_known(
    rate: float | None, eta_s: float | None, said: str
) -> None:
    progress = {"total": 4000, "done": 1000, "faces": 1000, "rate": rate, "eta_s": eta_s}

    assert rebuild_table.progress(rebuild(progress=progress)) == said


def test_a_plan_says_what_a_rebuild_takes(capsys: pytest.CaptureFixture[str]) -> None:
    rebuild_table.plan(rebuild(plan=PLAN))

    said = " ".join(capsys.readouterr().out.split())
    assert said == (
        "plan: 1,000,000 faces of 900,000 photos, from their chips; about 90 min with 8 workers; 1.0 GB in the catalog, "
        "0 kB in the photo store; 2.1 GB of memory in every searcher 3 chips are missing, and are cut again from their photos "
        "2 are missing, and left out"
    )


def test_a_plan_of_what_is_kept_embeds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    rebuild_table.plan(rebuild(plan={"source": "none"}))

    assert "new with mtcnn is kept ready" in " ".join(capsys.readouterr().out.split())


def test_a_comparison_shows_what_was_measured_and_says_what_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    rebuild_table.comparison(rebuild(comparison=COMPARISON))

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "old new difference 95% interval",
        "rank-1 98.50% 98.80% +0.30% -0.40% to +1.00%",
        "accepts from 0.433",
        "searches by enrolled faces: 73.6% of the first 1 in common, the same first person in 73.6%",
        "queries: No recent searches were kept for it.",
    ]
