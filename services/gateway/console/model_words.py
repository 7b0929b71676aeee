"""How pages call the states of models and rebuilds, and why a policy stopped one, in the language of the request."""

from collections.abc import Mapping
from typing import Any

from services.gateway.console.language import gettext as _
from services.gateway.console.language import language

_MAX_LOSS = 0.01
"""How much rank-1, or TMR at FMR 1e-3, may fall where a rebuild was asked for without a limit (docs/rebuild.md)."""


def words() -> dict[str, dict[str, str]]:
    """By kind of thing and its name, what a page says."""
    return {
        "model": {
            "checking": _("being tried"),
            "candidate": _("candidate"),
            "active": _("active"),
            "retired": _("retired"),
            "refused": _("refused"),
        },
        "kind": {"embedder": _("Recognition"), "detector": _("Detection")},
        "rebuild": {
            "planning": _("being planned"),
            "embedding": _("under way"),
            "paused": _("paused"),
            "comparing": _("being compared"),
            "ready": _("ready to switch"),
            "stopped": _("stopped by the policy"),
            "switching": _("switching"),
            "switched": _("switched"),
            "rolled_back": _("rolled back"),
            "failed": _("failed"),
            "cancelled": _("cancelled"),
            "pruned": _("freed"),
        },
        "generation": {
            "building": _("being made"),
            "prepared": _("kept ready"),
            "dropped": _("being removed"),
        },
        "finding": {
            "missing": _("chip and photo are missing"),
            "unreadable": _("cannot be read"),
            "crashed": _("brought its worker down"),
            "kept": _("not found again; kept as it was"),
            "ambiguous": _("found more than once"),
        },
        "source": {
            "chips": _("from the stored faces"),
            "mixed": _("from the stored faces; some are cut again from their photos"),
            "raw": _("from the photos, looked at anew"),
            "none": _("nothing to be made: it is kept ready"),
            "auto": _("still to be planned"),
        },
        "accuracy": {
            "rank1": _("Right person first (rank-1)"),
            "tmr_at_fmr_1e-3": _("Right pairs accepted at FMR 0.1% (TMR)"),
            "fnir_at_fpir_5e-2": _("Known people missed at 5% strangers named (FNIR)"),
        },
        "computation": {
            "training": _("Training"),
            "evaluation": _("Evaluation"),
            "calibration": _("Calibration"),
            "quantisation": _("8-bit variant"),
            "comparison": _("Comparison"),
            "check": _("Check"),
            "import": _("Import"),
            "upload": _("Upload"),
        },
    }


def stages() -> dict[str, str]:
    """What a computation tells of, by its own word for it; others are under way without a word."""
    reading, measuring = _("reading faces"), _("measuring")
    return {
        **dict.fromkeys(("faces", "photos", "embed", "vectors", "chips", "crops", "views"), reading),
        **dict.fromkeys(("fit", "figures", "figures of the head", "searches", "calibration", "measuring"), measuring),
        **dict.fromkeys(("report", "thumbnails"), _("writing the report")),
        **dict.fromkeys(("training", "training with everybody", "quantising"), _("computing")),
        **dict.fromkeys(("writing the model", "writing the network"), _("writing the model")),
    }


def stopped(rebuild: Mapping[str, Any]) -> list[str]:
    """Why the policy stopped a rebuild: the figures and the limit, a sentence each; empty where it did not."""
    told = rebuild["comparison"]
    if rebuild["state"] != "stopped" or told is None:
        return []
    asked, names = rebuild["parameters"], words()["accuracy"]
    found = []
    if told["decides"]["after"]["threshold"] is None:
        found.append(
            _("Searches would have no threshold under the new model: it brings none, and too few are enrolled.")
        )
    most = _MAX_LOSS if asked.get("max_loss") is None else asked["max_loss"]
    measured = {name: told["accuracy"].get(name) for name in ("rank1", "tmr_at_fmr_1e-3")}
    for name, one in measured.items():
        if one is not None and -one["difference"] > most + 1e-9:
            found.append(
                _("%(figure)s falls from %(before)s to %(after)s; %(most)s may be lost.")
                % {
                    "figure": names[name],
                    "before": _share(one["before"]),
                    "after": _share(one["after"]),
                    "most": _share(most),
                }
            )
    least, rank1 = asked.get("min_rank1"), measured["rank1"]
    if least is not None and rank1 is not None and rank1["after"] < least - 1e-9:
        sentence = _("Rank-1 of the new model is %(after)s; at least %(least)s was asked for.")
        found.append(sentence % {"after": _share(rank1["after"]), "least": _share(least)})
    if (least is not None and rank1 is None) or (asked.get("max_loss") is not None and not any(measured.values())):
        found.append(_("What the limit is about cannot be measured here: too few people have several photos."))
    return found


def _share(share: float) -> str:
    return language().percent(share, 1)
