"""Importing: files in, each with one line of report; resumable because what is there already is only counted."""

import csv
import hashlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from services import formats
from services.cli import nouns
from services.cli.service import Document, Service, ServiceError
from services.errors import InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources import entries, layouts
from services.sources.entries import MANIFEST, Entry
from services.sources.layouts import Layout, Shown

IN_FLIGHT = 4
PHOTOS_A_REQUEST = 16
BYTES_A_REQUEST = 8 * 2**20
_POLL_S = 0.3
_PHOTO_NAMES = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"}
_OTHER_FILES = {Rejection.NOT_AN_IMAGE, Rejection.UNSUPPORTED_FORMAT, Rejection.EMPTY}

OnProgress = Callable[[int, int, float | None], None]
"""Told how many of how many ended, and at what rate."""


@dataclass(slots=True)
class Line:
    """What became of one file."""

    path: str
    person: str = ""
    status: str = "queued"
    reason: str = ""
    detail: str = ""
    photo_id: str = ""
    faces: int | None = None


Labelled = Callable[[Line, Shown], Document]
"""What is sent as whom a photo shows."""


@dataclass(slots=True)
class Outcomes:
    """What became of all files, in the order they were found."""

    job: str
    lines: list[Line] = field(default_factory=list)

    def counted(self) -> Counter[str]:
        """How many ended how."""
        return Counter(line.status for line in self.lines)

    def summary(self) -> Document:
        """Counts by end, and of the rejected by reason."""
        counted = self.counted()
        ends = {end: counted.get(end, 0) for end in ("done", "duplicate", "cancelled", "rejected", "skipped", "queued")}
        rejected = [line for line in self.lines if line.status == "rejected"]
        several = sum(1 for line in self.lines if line.status == "done" and (line.faces or 0) > 1)
        reasons = Counter(line.reason for line in rejected)
        return {"job": self.job, "files": len(self.lines), **ends, "reasons": dict(reasons), "several_faces": several}


@dataclass(slots=True)
class Batch:
    """Photos to be sent in one request."""

    photos: list[tuple[Line, bytes, Shown]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether it is as large as a request should be."""
        """Whether it is as large as a request should be."""
        return len(self.photos) >= PHOTOS_A_REQUEST or sum(len(data) for _, data, _ in self.photos) >= BYTES_A_REQUEST


def run(
    client: Service,
    source: Path,
    *,
    layout: Layout = Layout.AUTO,
    faces: str = "largest",
    wait_for_end: bool = True,
    on_progress: OnProgress = lambda ended, total, rate: None,  # noqa: ARG005
) -> Outcomes:
    """Enrol the people in *source*: a directory, an archive, or a CSV manifest whose paths are relative to it.

    Raises:
        PhotoRefused: An archive as a whole cannot be read.
        InvalidRequest: The layout does not fit the source.
        ServiceError, Unreachable: The service refused or is away for long.
    """
    folder, manifest = manifest_of(source)
    with entries.opened(folder) as found:
        listed = list(listed_in(found, named_by=source if source != folder else None))
        photos = [entry for entry in listed if entry.refused is None]
        if manifest is None and layout in {Layout.AUTO, Layout.MANIFEST}:
            own = next((entry for entry in photos if entry.path == MANIFEST), None)
            manifest = own.read() if own is not None else None
        labels = layouts.labels(layout, [entry.path for entry in photos], manifest)
        listed = [entry for entry in listed if entry.path != MANIFEST or labels.layout is not Layout.MANIFEST]
        return enrol(
            client, str(source), listed, labels, faces=faces, wait_for_end=wait_for_end, on_progress=on_progress
        )


def enrol(
    client: Service,
    source: str,
    listed: Sequence[Entry],
    labels: layouts.Labels,
    *,
    faces: str = "largest",
    wait_for_end: bool = True,
    on_progress: OnProgress = lambda ended, total, rate: None,  # noqa: ARG005
) -> Outcomes:
    """Enrol whom the entries of *source* show by *labels*; they are read one after the other.

    Raises:
        ServiceError, Unreachable: The service refused or is away for long.
    """
    expected = sum(entry.refused is None for entry in listed)
    outcomes = Outcomes(nouns.Imports(client).open(source, faces=faces, expected=expected))
    outcomes.lines = [
        Line(entry.path, labels.rows[entry.path].person if entry.path in labels.rows else "") for entry in listed
    ]
    _send(client, outcomes, listed, labels, on_progress)
    missing = set(labels.rows) - {entry.path for entry in listed}
    for path in sorted(missing):
        detail = Rejection.UNSAFE_PATH if entries.judged(path) else Rejection.MISSING_FILE
        outcomes.lines.append(Line(path, labels.rows[path].person, "rejected", detail.value))
    nouns.Imports(client).close(outcomes.job)
    if wait_for_end:
        wait_for(client, outcomes, on_progress)
    return outcomes


def write_report(outcomes: Outcomes, path: Path) -> None:
    """One line a file: ``path,person,status,reason,photo_id,faces``. Names stand as they are; open it as text, not formulas."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "person", "status", "reason", "photo_id", "faces"])
        for line in outcomes.lines:
            faces = "" if line.faces is None else line.faces
            writer.writerow([line.path, line.person, line.status, line.reason, line.photo_id, faces])


def manifest_of(source: Path) -> tuple[Path, bytes | None]:
    """The folder of a CSV manifest and its bytes; *source* itself for everything else."""
    if source.is_file() and source.suffix.lower() == ".csv":
        return source.resolve().parent, source.read_bytes()
    return source, None


def listed_in(found: Iterator[Entry], *, named_by: Path | None) -> Iterator[Entry]:
    """The entries, without the manifest that *named_by* is."""
    for entry in found:
        if named_by is None or entry.path != named_by.name:
            yield entry


def _send(
    client: Service, outcomes: Outcomes, listed: Sequence[Entry], labels: layouts.Labels, on_progress: OnProgress
) -> None:
    """Read, judge and send every file; a bounded number of requests is under way at any time."""
    under_way: set[Future[None]] = set()
    sent = 0
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for batch in _batches(listed, outcomes.lines, labels):
            if len(under_way) >= 2 * IN_FLIGHT:
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
            under_way.add(pool.submit(upload, client, outcomes.job, batch))
            sent += len(batch.photos)
            on_progress(sent, len(listed), None)
        for future in under_way:
            future.result()


def _batches(listed: Sequence[Entry], lines: Sequence[Line], labels: layouts.Labels) -> Iterator[Batch]:
    batch = Batch()
    seen: dict[tuple[str, str], str] = {}
    for entry, line in zip(listed, lines, strict=True):
        try:
            shown, data = judge(entry, line, labels)
        except (PhotoRefused, InvalidRequest) as refused:
            reason = refused.reason if isinstance(refused, PhotoRefused) else Rejection.INVALID_NAME
            status = "skipped" if is_no_photo(entry.path, reason) else "rejected"
            line.status, line.reason, line.detail = status, reason.value, str(refused)
            continue
        twin = seen.setdefault((hashlib.sha256(data).hexdigest(), shown.external_id or shown.person), line.path)
        if twin != line.path:
            line.status, line.detail = "duplicate", f"The same photo as {twin}."
            continue
        batch.photos.append((line, data, shown))
        if batch.is_full:
            yield batch
            batch = Batch()
    if batch.photos:
        yield batch


def judge(entry: Entry, line: Line, labels: layouts.Labels) -> tuple[Shown, bytes]:
    """Whom a file shows, and its bytes.

    Raises:
        PhotoRefused: It is not sent.
    """
    if entry.refused is not None:
        raise entry.refused
    data = entry.read()
    formats.require(entry.path, data[: formats.HEAD_BYTES])
    shown = labels.of(entry.path)
    line.person = shown.person
    if not shown.person.strip():
        raise PhotoRefused(Rejection.INVALID_NAME, "The person has no name.")
    return shown, data


def is_no_photo(path: str, reason: Rejection) -> bool:
    """Whether a file is passed over rather than rejected: nobody meant it to be a photo."""
    if reason is Rejection.HIDDEN_OR_SYSTEM_FILE:
        return True
    return reason in _OTHER_FILES and PurePosixPath(path).suffix.lower() not in _PHOTO_NAMES


def upload(client: Service, job: str, batch: Batch, labelled: Labelled = lambda line, shown: label_of(shown)) -> None:  # noqa: ARG005
    """Send a batch, and say in its lines what became of each photo. Where one is refused, the others go alone."""
    # The name that is sent is the one that the report is matched by.
    photos = [(line.path, data) for line, data, _ in batch.photos]
    labels = [labelled(line, shown) for line, _, shown in batch.photos]
    try:
        taken = nouns.Imports(client).upload(job, photos, labels)
    except ServiceError as error:
        if error.status not in {413, 422}:
            raise
        if len(batch.photos) > 1:
            for photo in batch.photos:  # Which one it was is found by sending each alone.
                upload(client, job, Batch([photo]), labelled)
            return
        kind = str(error.problem.get("type", "")).rpartition("/photo-")[2].replace("-", "_")
        [(line, _, _)] = batch.photos
        line.status, line.reason = "rejected", kind if kind in set(Rejection) else Rejection.INVALID_NAME.value
        line.detail = str(error)
        return
    for (line, _, _), told in zip(batch.photos, taken, strict=True):
        line.status, line.reason = told["status"], told["reason"] or ""
        line.photo_id = told["photo_id"] or ""


def label_of(shown: Shown) -> Document:
    """Whom a photo shows, as ``POST /v1/photos`` takes it."""
    terms = {
        "consent_given_at": shown.consent_given_at,
        "consent_notice": shown.consent_notice,
        "expires_at": shown.expires_at,
    }
    return {
        "person": shown.person,
        "external_id": shown.external_id,
        "attributes": dict(shown.attributes),
        **{name: said for name, said in terms.items() if said is not None},
    }


def wait_for(client: Service, outcomes: Outcomes, on_progress: OnProgress) -> None:
    """Wait for the job's end and fill in how each photo ended."""
    for pause_s in itertools.chain((0.05, 0.1, 0.2), itertools.repeat(_POLL_S)):
        progress = nouns.Jobs(client).show(outcomes.job)
        ended = sum(progress[end] for end in ("done", "duplicate", "cancelled", "rejected"))
        on_progress(ended, progress["total"], progress["rate"])
        if progress["state"] in {"done", "cancelled"}:
            break
        time.sleep(pause_s)
    # By both first: an archive may have one name twice. A name with quotes or line breaks comes back escaped.
    by_both = {(line.path, line.photo_id): line for line in outcomes.lines}
    by_photo = {line.photo_id: line for line in outcomes.lines if line.photo_id}
    for item in nouns.Jobs(client).items(outcomes.job):
        photo_id = item["photo_id"] or ""
        line = by_both.get((item["name"], photo_id)) or by_photo.get(photo_id)
        if line is not None:
            line.status, line.reason = item["status"], item["reason"] or ""
            line.detail, line.faces = item["detail"] or "", item["faces"]
            line.photo_id = item["photo_id"] or ""
