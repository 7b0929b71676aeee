"""Bytes against checksums: raw photos, the files of models, and whether snapshots of the index are whole."""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from index.manifest import MANIFEST, DamagedSnapshot, Manifest, newest
from index.snapshots import KEPT
from services.catalog import collections, inventory, models
from services.catalog.inventory import PhotoRow
from services.catalog.schema import Model
from services.errors import ColegaError, DamagedObject, MissingObject
from services.photos import keys
from services.vault import Vault
from workers.checks import mending
from workers.checks.ledger import MENDED, Ledger, Outcome, State
from workers.checks.mending import Place
from workers.models.bundle import DESCRIPTION, Bundle
from workers.models.registry import DETECTOR_FILE

CHECKSUMS, MODELS, SNAPSHOTS = "checksums", "models", "snapshots"
_ROWS = 4000
_FOUND_ONLY = Outcome(State.LEFT)
_DAMAGED = "damaged"


def photos(place: Place, ledger: Ledger, *, sample: int | None, seed: int) -> None:
    """Read raw photos and hold them against their SHA-256: *sample* of them, drawn by *seed*; None: all. Their thumbnails must open.

    Raises:
        Cancelled: Nobody wants the rest.
    """
    with place.catalog.reading() as session:
        there = collections.counts(session, place.collection_id)["photos"]
    total = there if sample is None else min(sample, there)
    for done, photo in enumerate(_drawn(place, sample, seed)):
        place.tell({"stage": CHECKSUMS, "done": done, "total": total})
        found = _sha256(place.store, photo.object_key)
        ledger.looked_at[CHECKSUMS] += 1
        if found != photo.sha256 and _is_there(place, photo):
            kind = "photo_missing" if found is None else "photo_altered"
            ledger.note(kind, _FOUND_ONLY, photo=photo.public_id, object=photo.object_key)
        if photo.thumbnail_key is not None and _sha256(place.store, photo.thumbnail_key) == _DAMAGED:
            outcome = mending.thumbnail(place, photo) if place.repair else _FOUND_ONLY
            ledger.note("thumbnail_damaged", outcome, photo=photo.public_id, object=photo.thumbnail_key)


def bundles(place: Place, ledger: Ledger, *, nobodys: bool, contents: bool) -> None:
    """See that the files of the models that the collection uses are there; *nobodys*: also of those that nobody uses.

    With *contents* they are read and held against their SHA-256. A file that is not whole is put back from this machine's copy
    of the model, where that is.
    """
    with place.catalog.reading() as session:
        used, every = inventory.models_in_use(session, place.collection_id), models.all_of(session)
        others = {model.id for model in every if nobodys and not models.uses(session, model)}
    for model in every:
        if model.state in models.USABLE and model.id in used | others:
            place.tell({"stage": MODELS, "model": model.name})
            ledger.looked_at[MODELS] += 1
            for key, sha256 in _files(model).items():
                if not _holds(place.store, key, sha256 if contents else None):
                    ledger.note(
                        "model_incomplete",
                        _put_back(place, model, key, sha256) if place.repair else _FOUND_ONLY,
                        model=model.public_id,
                        object=key,
                    )


def snapshots(place: Place, ledger: Ledger, epoch: str, *, contents: bool) -> None:
    """See that the newest snapshots of every generation are whole: each file there, of its size; *contents*: unchanged.

    One that is not loses its manifest: searchers go on from an older one or from rows, and write another.
    """
    with place.catalog.reading() as session:
        ready = inventory.ready(session, place.collection_id)
    for generation in ready:
        prefix = keys.snapshots(place.collection_id, generation.id)
        for name, why in _incomplete(place.store, prefix, epoch, ledger, contents=contents):
            manifest = f"{prefix}{name}/{MANIFEST}"
            if place.repair:
                place.store.delete(manifest)
            ledger.note(
                "snapshot_incomplete",
                MENDED if place.repair else Outcome(State.LEFT, why),
                object=manifest,
            )


def _drawn(place: Place, sample: int | None, seed: int) -> Iterator[PhotoRow]:
    """*sample* photos drawn without knowing how many there are (reservoir sampling); None: all."""
    chance, held, seen, after = random.Random(seed), list[PhotoRow](), 0, 0  # noqa: S311 - not a secret
    while True:
        with place.catalog.reading() as session:
            page = inventory.photos(session, place.collection_id, after=after, limit=_ROWS)
        if not page:
            break
        after = page[-1].id
        if sample is None:
            yield from page
            continue
        for photo in page:
            seen += 1
            if len(held) < sample:
                held.append(photo)
            elif (at := chance.randrange(seen)) < sample:
                held[at] = photo
    yield from held


def _is_there(place: Place, photo: PhotoRow) -> bool:
    """Whether the photo was not deleted meanwhile."""
    with place.catalog.reading() as session:
        return bool(inventory.photos_by_id(session, [photo.id]))


def _files(model: Model) -> dict[str, str | None]:
    """By object key, the SHA-256 of each file of a model; None where it is not known."""
    if model.kind == models.DETECTOR:
        upload: Mapping[str, str] = (model.notes or {}).get("upload", {})
        return {keys.model_file(model.digest, DETECTOR_FILE): upload.get("sha256")}
    files: Mapping[str, str] = model.details.get("files", {})
    held: dict[str, str | None] = {_key(model, name): sha256 for name, sha256 in files.items()}
    return {**held, _key(model, DESCRIPTION): None}


def _key(model: Model, name: str) -> str:
    return keys.model_file(model.digest, name.replace("/", "~"))


def _holds(store: Vault, key: str, sha256: str | None) -> bool:
    """Whether an object is there and whole; a description must be one."""
    if sha256 is not None:
        return store.holds(key, sha256)
    try:
        return bool(json.loads(store.get(key)).get("digest")) if key.endswith(DESCRIPTION) else store.size(key) > 0
    except (MissingObject, ValueError, AttributeError):
        return False


def _put_back(place: Place, model: Model, key: str, sha256: str | None) -> Outcome:
    """Put a file of a model back from this machine's copy."""
    left = Outcome(State.LEFT, f"This machine has no whole copy of {model.name}. Add it again: colega models add.")
    if model.kind == models.DETECTOR:
        return left
    try:
        directory = place.models.bundle(model.digest).directory
    except (ColegaError, OSError):
        return left
    path = directory / key.rpartition("/")[2].replace("~", "/")
    if not path.is_file() or not _is_whole(path, model, sha256):
        return left
    place.store.put(key, path)
    return MENDED


def _is_whole(path: Path, model: Model, sha256: str | None) -> bool:
    if sha256 is None:
        return Bundle.open(path.parent).digest == model.digest
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _incomplete(store: Vault, prefix: str, epoch: str, ledger: Ledger, *, contents: bool) -> Iterator[tuple[str, str]]:
    """Names of snapshots that are not whole and have not been removed meanwhile, and why."""
    listed = store.plain(store.list(prefix))
    there = {stored.key.removeprefix(prefix): stored.size_bytes for stored in listed}
    complete = {name.removesuffix(f"/{MANIFEST}") for name in there if name.endswith(f"/{MANIFEST}")}
    for name in newest(complete, epoch, KEPT):
        ledger.looked_at[SNAPSHOTS] += 1
        why = _trouble(store, prefix, name, there, contents=contents)
        if why is not None and store.exists(f"{prefix}{name}/{MANIFEST}"):
            yield name, why


def _trouble(store: Vault, prefix: str, name: str, there: Mapping[str, int], *, contents: bool) -> str | None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / MANIFEST
        try:
            file.write_bytes(store.get(f"{prefix}{name}/{MANIFEST}"))
            manifest = Manifest.read(file)
        except MissingObject:
            return None
        except (DamagedSnapshot, DamagedObject) as error:
            return str(error)
    for at, held in manifest.files.items():
        if there.get(at) != held.size_bytes:
            return f"{at} is {'missing' if at not in there else 'of another size'}."
        if contents and not store.holds(f"{prefix}{at}", held.sha256):
            return f"{at} has another checksum."
    return None


def _sha256(store: Vault, key: str) -> str | None:
    """The digest of what is there; :data:`_DAMAGED` where it does not open, None where nothing is."""
    digest = hashlib.sha256()
    try:
        for piece in store.stream(key):
            digest.update(piece)
    except MissingObject:
        return None
    except DamagedObject:
        return _DAMAGED
    return digest.hexdigest()
