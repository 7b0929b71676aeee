"""Backing up: a verb of :mod:`workers.computing`. All collections at once; which one its job belongs to means nothing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.backups import making, places
from services.backups.copying import Source
from workers.collection_bench import CollectionBench


def back_up(wanted: Mapping[str, Any], bench: CollectionBench) -> dict[str, Any]:
    """Write a backup where the settings say.

    Args:
        wanted: ``destination`` (a name below that place, or none), ``keep`` (else the settings').
        bench: Whose catalog, photo store and settings.

    Returns:
        ``backup`` (its name), ``destination``, and its figures.

    Raises:
        InvalidRequest: The settings name no place.
        Cancelled: Nobody wants it any more.
    """
    settings = bench.backups
    place = places.place(places.configured(settings, wanted.get("destination")), settings)
    source = Source(bench.catalog, bench.store.objects, bench.store.wrapping)
    keep = settings.backup_keep if wanted.get("keep") is None else int(wanted["keep"])
    told = making.make(source, place, keep=keep, tell=bench.tell, job=bench.job_id)
    return {
        **asdict(told)["figures"],
        "backup": told.name,
        "destination": place.name,
        "sealed": told.sealed_key is not None,
    }
