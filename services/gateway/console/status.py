"""Status: what runs and how far it is, what is wrong first. It is shown anew every few seconds while somebody looks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import g, render_template, url_for
from flask.typing import ResponseReturnValue

from services.catalog import computations
from services.catalog.importing import jobs
from services.errors import ColegaError
from services.gateway import answers
from services.gateway.console import model_words, reasons
from services.gateway.console.language import gettext as _
from services.gateway.console.language import language, ngettext
from services.gateway.console.pages import collection, page
from services.gateway.doors import SCOPES, collection_of, gateway
from services.gateway.observing import status as status_answers

_JOBS = 12
_OK = "ok"
_WARNINGS = {"slow", "behind", "loading", "off"}
_LAG, _LITTLE_DISK, _LEAST_DISK_MB = 1000, 0.05, 1024
_IMPORTS = "console.import_job"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that somebody should look at, and what to do about it."""

    what: str
    advice: str
    is_serious: bool = True
    said: str = ""
    """What the service says of it, in English."""


@page("/status", "read")
def status() -> ResponseReturnValue:
    """Each part, and what is wrong with it; the page works while any part is away, for who was here before."""
    told = status_answers.told_of(gateway())
    return render_template(
        "status.html",
        told=told,
        parts=_parts(),
        states=_states(),
        queues=_queues(),
        kinds=_kinds(),
        words=model_words.words(),
        troubles=sorted(_troubles(told), key=lambda trouble: not trouble.is_serious),
        jobs=_jobs(),
        rejected=[(reasons.of_rejection(reason), count) for reason, count in told.get("rejected", {}).items()],
    )


def _parts() -> dict[str, tuple[str, str]]:
    """By its name in the health check: what a part is called, and what does not work without it."""
    return {
        "catalog": (_("Catalog"), _("Nothing works without the catalog. See that its database runs and has room.")),
        "photos": (
            _("Photo store"),
            _("Pictures are not shown and nothing is imported until it is back. See that the object store runs."),
        ),
        "broker": (
            _("Broker"),
            _("Searches and imports wait until it is back; nothing is lost. See that Valkey or Redis runs."),
        ),
        "interactive": (
            _("Interactive worker"),
            _("Photos cannot be looked at until one runs. colega up starts it again; elsewhere start one more."),
        ),
        "searcher": (
            _("Searcher"),
            _("Nobody can be recognised until one runs. colega up starts it again; elsewhere start one more."),
        ),
        "bulk": (
            _("Bulk worker"),
            _("Photos that were imported wait until one runs. colega up starts it again; elsewhere start one more."),
        ),
        "maintenance": (
            _("Maintenance"),
            _(
                "What was lost is not sent again and nothing is tidied up. colega up starts it again; elsewhere start it."
            ),
        ),
        "disk": (_("Disk"), _("Free some space where the service keeps its data, before imports are refused.")),
        "clock": (
            _("Clocks"),
            _("Two machines are more than two seconds apart, so searches end too early. Have all of them set by NTP."),
        ),
    }


def _states() -> dict[str, str]:
    """What each state of a part is called."""
    return {
        "ok": _("works"),
        "old": _("older version"),
        "away": _("away"),
        "slow": _("slow"),
        "locked": _("locked by another writer"),
        "full": _("full"),
        "low": _("nearly full"),
        "stuck": _("stands still"),
        "behind": _("far behind"),
        "loading": _("being loaded"),
        "off": _("apart"),
        "unknown": _("not known"),
    }


def _kinds() -> dict[str, str]:
    """What kinds of processes are called."""
    named = {name: called for name, (called, _advice) in _parts().items()}
    return named | {"training": _("Training worker"), "gateway": _("Gateway")}


def _queues() -> dict[str, str]:
    """What queues are called, by what waits in them."""
    return {
        "interactive": _("searches"),
        "enrol": _("new photos"),
        "bulk": _("imports"),
        "rebuild": _("rebuilds"),
        "training": _("computations"),
        "maintenance": _("upkeep"),
    }


def _held(told: Mapping[str, Any]) -> Iterator[Trouble]:
    """People whose time is over and who are not erased before somebody confirms it."""
    for one in told.get("collections", []):
        if held := one["retention"]["held"]:
            what = ngettext(
                "%(count)s person in %(name)s is due to be erased and held back",
                "%(count)s people in %(name)s are due to be erased and held back",
                held,
            )
            yield Trouble(
                what % {"count": held, "name": one["name"]},
                _("That is much at once, or the clock has jumped. Look under People, Basis and notice."),
            )


def _troubles(told: Mapping[str, Any]) -> Iterator[Trouble]:
    yield from _held(told)
    for part, state in told["checks"].items():
        if state not in {_OK, "unknown"} and part != "disk":  # What is left of the disk is told below.
            name, advice = _parts()[part]
            if state == "old":
                yield Trouble(_("The tables of the catalog are of an older version"), _("Run colega migrate."))
            elif state == "away":
                yield Trouble(_("%(part)s: does not answer") % {"part": name}, advice)
            else:
                what = _("%(part)s: %(state)s") % {"part": name, "state": _states().get(state, state)}
                yield Trouble(what, advice, is_serious=state not in _WARNINGS)
    free, total = told["disk"]["free_mb"], told["disk"]["total_mb"]
    if free < _LEAST_DISK_MB or free < _LITTLE_DISK * total:
        left = language().number(round(free / 1024, 1))
        yield Trouble(
            _("Only %(left)s GB of disk are left") % {"left": left},
            _("Free some space where the service keeps its data, before imports are refused."),
        )
    for process in told.get("processes", []):
        for said in process["trouble"]:
            yield Trouble(
                _("A process is in trouble: %(process)s") % {"process": process["id"]},
                _("Look at its log."),
                said=str(said),
            )
    for one in told.get("collections", []):
        yield from _of_collection(one)
    yield from _of_webhooks(told.get("webhooks") or {})
    yield from _of_duties(told)


def _of_collection(one: Mapping[str, Any]) -> Iterator[Trouble]:
    name = one["name"]
    for replica in one["replicas"]:
        if replica["trouble"]:
            yield Trouble(
                _("A replica of %(name)s is in trouble") % {"name": name},
                _("It is loaded again by itself; if this stays, look at the log of the searcher."),
                said=str(replica["trouble"]),
            )
        if replica["lag"] > _LAG:
            yield Trouble(
                _("A replica of %(name)s is %(lag)s changes behind")
                % {"name": name, "lag": language().number(replica["lag"])},
                _("New photos are found late until it has caught up."),
                is_serious=False,
            )
    rebuild = one["rebuild"]
    if rebuild is not None and rebuild["state"] == "stopped":
        yield Trouble(
            _("The policy has stopped a rebuild of %(name)s") % {"name": name},
            _("See the page Models: look at the comparison, then switch or cancel."),
            is_serious=False,
        )
    check = one["check"]
    if check is not None and check["ok"] is False and (left := sum(check["remaining"].values())):
        found = ngettext("%(count)s problem is left in %(name)s", "%(count)s problems are left in %(name)s", left)
        yield Trouble(
            found % {"count": language().number(left), "name": name},
            _("The last check found them. colega check --repair mends what can be mended."),
        )
    calibration = one["calibration"]
    if calibration is not None and calibration["stale"]:
        yield Trouble(
            _("%(name)s has outgrown its calibration") % {"name": name},
            _("Calibrate it anew on the page Models, so that its rates are right again."),
            is_serious=False,
        )


def _of_webhooks(told: Mapping[str, Any]) -> Iterator[Trouble]:
    advice = _("See that the receiver answers: colega webhooks list, colega webhooks deliveries.")
    if given_up := told.get("given_up", 0):
        said = ngettext(
            "%(count)s webhook delivery was given up", "%(count)s webhook deliveries were given up", given_up
        )
        yield Trouble(said % {"count": language().number(given_up)}, advice, is_serious=False)
    if failing := told.get("failing", 0):
        said = ngettext(
            "%(count)s webhook delivery fails and is tried again",
            "%(count)s webhook deliveries fail and are tried again",
            failing,
        )
        yield Trouble(said % {"count": language().number(failing)}, advice, is_serious=False)


def _of_duties(told: Mapping[str, Any]) -> Iterator[Trouble]:
    """What was promised to those whose photos are kept: erasures in time, an audit, encryption."""
    if overdue := (told.get("erasures") or {}).get("overdue", 0):
        said = ngettext("%(count)s erasure is overdue", "%(count)s erasures are overdue", overdue)
        yield Trouble(
            said % {"count": language().number(overdue)},
            _("The receipts say what is in the way: People, Receipts of erasures."),
        )
    audit = told["audit"]
    if not audit["on"]:
        yield Trouble(_("The audit is off"), _("Nobody will know who did what: COLEGA_AUDIT."), is_serious=False)
    elif not audit["well"]:
        yield Trouble(
            _("The audit cannot be written"), _("What would be audited is refused until the catalog can be written.")
        )
    if (told.get("sealing") or {}).get("state") == "unsealed":
        yield Trouble(
            _("Photos are not encrypted where they are kept"),
            _("Give every process a wrapping key (COLEGA_WRAPPING_KEYS), and keep a copy of it elsewhere."),
            is_serious=False,
        )


def _jobs() -> list[dict[str, Any]]:
    """The last jobs of the collection; none while the catalog does not answer."""
    if g.get("without_catalog"):
        return []
    try:
        with gateway().catalog.reading() as session:
            mine = collection_of(session, collection())
            rows = [(job, jobs.progress(session, job)) for job in jobs.page(session, mine.id, limit=_JOBS)]
            told = [answers.job_out(job, progress) for job, progress in rows]
    except ColegaError:
        return []
    return [{**one, "url": _page_of(one), "why": _why(one)} for one in told]


def _page_of(job: Mapping[str, Any]) -> str | None:
    """Where a job is shown."""
    if job["kind"] in computations.KINDS:
        return url_for("console.models") if job["kind"] != computations.CHECK else None
    return url_for(_IMPORTS, job_id=job["id"]) if _IMPORTS in SCOPES else None


def _why(job: Mapping[str, Any]) -> str | None:
    """Why a computation has failed."""
    return None if job["problem"] is None else str(reasons.of_problem(job["problem"]))
