"""Whether a rebuild may be switched to by itself: what a comparison must say for it."""

from collections.abc import Mapping
from typing import Any

MAX_LOSS = 0.01
"""Where nothing is said: how much rank-1, or TMR at FMR 1e-3, may fall."""

_LOSSES = {"rank1": "Rank-1", "tmr_at_fmr_1e-3": "TMR at FMR 1e-3"}


def stopped_by(comparison: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """Why not to switch, in a sentence or more that say the figures, the limit and what to do; None: nothing is against it.

    Args:
        comparison: What :func:`workers.comparing.compare` returned.
        parameters: Of the rebuild. ``min_rank1``: what rank-1 of the new model must be at least, as a share. ``max_loss``: how
            much rank-1 and TMR at FMR 1e-3 may fall, as a share, 0.01 where it is null. Where one of the two limits is asked
            for and cannot be measured, that is a reason, too.
    """
    reasons = [_undecided(comparison), _below(comparison, parameters), *_fallen(comparison, parameters)]
    given = [reason for reason in reasons if reason is not None]
    return " ".join(given) or None


def _undecided(comparison: Mapping[str, Any]) -> str | None:
    """Searches that give no threshold would be refused."""
    after = comparison["decides"]["after"]
    if after["threshold"] is not None:
        return None
    return f"Searches could not decide under {comparison['after']['name']}: {after['why_not']}"


def _below(comparison: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    least = parameters.get("min_rank1")
    if least is None:
        return None
    found = comparison["accuracy"]["rank1"]
    if found is None:
        why = comparison["not_said"].get("accuracy.rank1", "")
        return f"Rank-1 must be at least {_percent(least)}, and cannot be measured. {why} Import more photos, or ask for less."
    if found["after"] >= least - 1e-9:
        return None
    return (
        f"Rank-1 of {comparison['after']['name']} is {_percent(found['after'])}; at least {_percent(least)} was asked for. "
        "Choose another model, or ask for less."
    )


def _fallen(comparison: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    asked = parameters.get("max_loss")
    most = MAX_LOSS if asked is None else asked
    measured = {what: found for what in _LOSSES if (found := comparison["accuracy"][what]) is not None}
    if not measured and asked is not None:
        why = " ".join(comparison["not_said"].get(f"accuracy.{what}", "") for what in _LOSSES)
        return [f"No more than {_points(most)} may be lost, and no loss can be measured. {why} Import more photos."]
    return [
        f"{_LOSSES[what]} falls by {_points(-found['difference'])}, from {_percent(found['before'])} to "
        f"{_percent(found['after'])}{_between(found)}; {_points(most)} may be lost. Choose another model, or allow more (max_loss)."
        for what, found in measured.items()
        if -found["difference"] > most + 1e-9
    ]


def _between(found: Mapping[str, Any]) -> str:
    interval = found["difference_interval"]
    if interval is None:
        return ""
    low, high = (f"{100 * each:+.1f}".replace("-", "\N{MINUS SIGN}") for each in interval)
    return f" (95% interval of the change: {low} to {high} points)"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _points(share: float) -> str:
    """A difference of shares, in percentage points."""
    said = f"{100 * share:.3g}"
    return f"{said} point{'' if said == '1' else 's'}"
