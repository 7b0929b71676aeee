"""Bringing a collection in step with a folder: what is new is enrolled, what has changed is changed, who has left is told of."""

import contextlib
import hashlib
from collections.abc import Sequence

from services import formats
from services.cli import importing, nouns, people_nouns, source_nouns, sync_plan
from services.cli.holding import held, new_holder
from services.cli.importing import Batch, Line, OnProgress, Outcomes
from services.cli.service import Document, Service, ServiceError
from services.cli.sync_plan import File, Plan
from services.cli.sync_told import Told, Wanted
from services.errors import Conflict, InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources import entries, layouts
from services.sources.entries import MANIFEST
from services.sources.layouts import Layout, Shown

MOST_SHARE = 0.1
_AT_ONCE = 200


def run(client: Service, wanted: Wanted, on_progress: OnProgress = lambda ended, total, rate: None) -> Told:  # noqa: ARG005
    """Bring the collection in step with a folder or a manifest. Killed at any moment and run again, it leaves the same.

    Raises:
        InvalidRequest: The source is an archive, or its layout does not fit.
        Conflict: Somebody else is at it; a folder in it cannot be read; or so many would leave, or so little is there, that it needs
            ``yes``.
        ServiceError, Unreachable: The service refused or is away for long.
    """
    folder, manifest = importing.manifest_of(wanted.source)
    if not folder.is_dir():
        raise InvalidRequest(
            f"{wanted.source}: --sync needs a directory or a CSV manifest; archives do not change in places."
        )
    sync_plan.must_be_readable(folder)
    with entries.opened(folder) as found:
        listed = list(importing.listed_in(found, named_by=wanted.source if wanted.source != folder else None))
    photos = [entry for entry in listed if entry.refused is None]
    if manifest is None and wanted.layout in {Layout.AUTO, Layout.MANIFEST}:
        own = next((entry for entry in photos if entry.path == MANIFEST), None)
        manifest = own.read() if own is not None else None
    labels = layouts.labels(wanted.layout, [entry.path for entry in photos], manifest)
    listed = [entry for entry in listed if entry.path != MANIFEST or labels.layout is not Layout.MANIFEST]
    files = sync_plan.walked(folder, listed, labels)
    if not any(file.shown is not None for file in files) and not wanted.yes:
        raise Conflict(
            f"{wanted.source} has no photos. Is it mounted? Say --yes where that is right: nothing was changed."
        )
    step = _Step(client, wanted, labels)
    if wanted.dry_run:
        there = next((each for each in source_nouns.Sources(client).list() if each["name"] == wanted.name), None)
        return step.told(files, None if there is None else there["id"], on_progress)
    source = source_nouns.Sources(client).ensure(wanted.name)["id"]
    with held(client, source, step.holder):
        return step.told(files, source, on_progress)


class _Step:
    """One run."""

    def __init__(self, client: Service, wanted: Wanted, labels: layouts.Labels) -> None:
        self.holder = new_holder()
        self._client = client
        self._wanted = wanted
        self._labels = labels
        self._sources = source_nouns.Sources(client)
        self._people = people_nouns.People(client)
        self._source = ""
        self._renamed: set[str] = set()
        """The paths that files had before."""
        self._noted: list[Document] = []

    def told(self, files: Sequence[File], source: str | None, on_progress: OnProgress) -> Told:
        """Do what is to be done, or tell what would be."""
        wanted, told = self._wanted, Told(self._wanted, Outcomes(""))
        self._source = source or ""
        if not wanted.dry_run:
            self._settle()
        known = [] if source is None else list(self._sources.files(source))
        plan = sync_plan.plan(files, known, self._labels.rows.values())
        self._guard(plan)
        told.outcomes.lines = self._lines(plan)
        told.new, told.changed = len(plan.new), len(plan.changed)
        self._not_there(files, told)
        self._read(plan, told, on_progress)
        self._update(plan, told)
        self._remove(plan, told)
        if not wanted.dry_run:
            self._settle()
            self._sources.end(self._source, self.holder)
        return told

    def _guard(self, plan: Plan) -> None:
        if not self._wanted.remove_missing or not plan.leaving or self._wanted.yes:
            return
        people = self._client.send("GET", f"/v1/collections/{self._client.collection}")["people"]
        if len(plan.leaving) > MOST_SHARE * people:
            raise Conflict(
                f"{len(plan.leaving)} of {people} people are no longer in {self._wanted.source}, more than a tenth. Look at them "
                "with --dry-run, and say --yes where that is right: nothing was changed."
            )

    def _lines(self, plan: Plan) -> list[Line]:
        """Lines of the files that need not be read."""
        lines = [Line(file.path, _name(file), "unchanged") for file in plan.unchanged]
        lines += [Line(file.path, _name(file), state, reason, "As before.") for file, state, reason in plan.rejected]
        lines += [
            Line(file.path, _name(file), "erased", "", "Erased here, and not brought back.") for file in plan.erased
        ]
        return lines

    def _not_there(self, files: Sequence[File], told: Told) -> None:
        """Lines of what a manifest names and nobody finds."""
        there = {file.path for file in files}
        for path, shown in self._labels.rows.items():
            if path not in there:
                told.outcomes.lines.append(Line(path, shown.person, "rejected", Rejection.MISSING_FILE.value))

    def _read(self, plan: Plan, told: Told, on_progress: OnProgress) -> None:
        """Read what is new or has changed, and send it."""
        new, sent = {file.path for file in plan.new}, 0
        by_path = {file.path: file for file in plan.to_read}
        outcomes = told.outcomes

        def labelled(line: Line, shown: Shown) -> Document:
            file = by_path[line.path]
            label = importing.label_of(shown) | {"seen": file.seen}
            known = plan.people.get(sync_plan.whose_of(shown))
            if known is not None:
                label = {
                    **{k: v for k, v in label.items() if k not in {"person", "external_id", "attributes"}},
                    "person_id": known,
                }
            return label

        batch = Batch()
        for number, file in enumerate(plan.to_read):
            line = Line(file.path, _name(file), "new" if file.path in new else "changed")
            outcomes.lines.append(line)
            data = self._judged(file, line)
            on_progress(number + 1, len(plan.to_read), None)
            if data is None:
                continue
            self._was_elsewhere(plan, file, line, hashlib.sha256(data).hexdigest())
            assert file.shown is not None
            if self._wanted.dry_run:
                continue
            batch.photos.append((line, data, file.shown))
            if batch.is_full:
                sent += self._send(outcomes, batch, labelled)
                batch = Batch()
        if batch.photos:
            sent += self._send(outcomes, batch, labelled)
        self._note()
        if sent:
            nouns.Imports(self._client).close(outcomes.job)
            renamed = [line for line in outcomes.lines if line.detail.startswith("Was ") and line.status != "rejected"]
            importing.wait_for(self._client, outcomes, on_progress)
            for line in renamed:
                line.status = "renamed" if line.status == "duplicate" else line.status

    def _send(self, outcomes: Outcomes, batch: Batch, labelled: importing.Labelled) -> int:
        if not outcomes.job:
            opened = nouns.Imports(self._client).open(self._wanted.name, faces=self._wanted.faces, sync=self._source)
            outcomes.job = opened
        importing.upload(self._client, outcomes.job, batch, labelled)
        return len(batch.photos)

    def _judged(self, file: File, line: Line) -> bytes | None:
        """The bytes of a file that can be sent; what is wrong with any other goes into its line."""
        if file.entry.refused is not None:
            self._refuse(file, line, file.entry.refused, "")
            return None
        try:
            self._labels.of(file.path)
            data = file.entry.read()
        except PhotoRefused as refused:
            self._refuse(file, line, refused, "")
            return None
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            formats.require(file.path, data[: formats.HEAD_BYTES])
        except PhotoRefused as refused:
            self._refuse(file, line, refused, sha256)
            return None
        if file.shown is None or not file.shown.person.strip():
            self._refuse(file, line, PhotoRefused(Rejection.INVALID_NAME, "The person has no name."), sha256)
            return None
        return data

    def _refuse(self, file: File, line: Line, refused: PhotoRefused, sha256: str) -> None:
        line.status = "skipped" if importing.is_no_photo(file.path, refused.reason) else "rejected"
        line.reason, line.detail = refused.reason.value, str(refused)
        if file.entry.refused is None:  # Such a name is judged without reading.
            noted = {**file.seen, "path": file.path, "sha256": sha256, "state": line.status, "reason": line.reason}
            self._noted.append(noted)
        if len(self._noted) >= _AT_ONCE:
            self._note()

    def _note(self) -> None:
        if self._noted and not self._wanted.dry_run:
            self._sources.note(self._source, self.holder, self._noted)
        self._noted = []

    def _was_elsewhere(self, plan: Plan, file: File, line: Line, sha256: str) -> None:
        """Where the same bytes lay elsewhere before, they do no more: renamed, or somebody else's from now on."""
        for row in plan.stale.pop(sha256, []):
            if row["whose"] == sync_plan.whose_of(file.shown):
                if row["path"] != file.path:
                    line.status, line.detail = "renamed", f"Was {row['path']}."
                    self._renamed.add(row["path"])
                continue
            line.detail = f"Was {row['path']}."
            if not self._wanted.dry_run:
                self._sources.release(self._source, self.holder, [row["path"]])
            plan.missing = [each for each in plan.missing if each["path"] != row["path"]]

    def _update(self, plan: Plan, told: Told) -> None:
        """Write what is said anew of people whose files have not changed."""
        for person, (shown, noted) in plan.told.items():
            done: Document = {"id": person, "name": shown.person, "detail": None}
            told.updated.append(done)
            if self._wanted.dry_run:
                continue
            what: Document = {"name": shown.person, "attributes": dict(shown.attributes)}
            try:
                self._people.change(person, **what, **({"expires_at": shown.expires_at} if shown.expires_at else {}))
                if shown.consent_given_at:
                    given = {"given_at": shown.consent_given_at, "notice": shown.consent_notice}
                    self._people.consent(person, **{k: v for k, v in given.items() if v is not None})
            except ServiceError as error:
                if error.status not in {404, 409, 422}:
                    raise
                done["detail"] = str(error)
                continue
            self._noted = noted
            self._note()

    def _remove(self, plan: Plan, told: Told) -> None:
        """Forget files that are gone, and erase who has left; or only tell of them."""
        removes, leaving = self._wanted.remove_missing, set(plan.leaving)
        gone: list[str] = []
        for row in plan.missing:
            is_elsewhere = row["path"] in self._renamed
            if is_elsewhere or (removes and row["person_id"] not in leaving):
                gone.append(row["path"])
            if not is_elsewhere:
                told.outcomes.lines.append(
                    Line(row["path"], "", "removed" if removes else "missing", "", "", row["photo_id"] or "")
                )
        for person in plan.leaving:
            with contextlib.suppress(ServiceError):
                shown = self._people.show(person)
                who = {"id": person, "name": shown["name"], "external_id": shown["external_id"]}
                told.missing.append({**who, "end": "would be erased" if removes and self._wanted.dry_run else "listed"})
        if self._wanted.dry_run:
            return
        for start in range(0, len(gone), _AT_ONCE):
            self._sources.release(self._source, self.holder, gone[start : start + _AT_ONCE])
        if removes:
            self._leave(plan.leaving, told)

    def _leave(self, leaving: Sequence[str], told: Told) -> None:
        ends: dict[str, str] = {}
        for start in range(0, len(leaving), _AT_ONCE):
            some, confirmed = leaving[start : start + _AT_ONCE], self._wanted.yes
            answer = self._sources.leave(self._source, self.holder, some, of=len(leaving), confirmed=confirmed)
            ends |= dict.fromkeys(answer["erased"], "erased")
            ends |= {each["id"]: f"stays: {each['photos']} photo(s) from elsewhere" for each in answer["stayed"]}
        for person in told.missing:
            person["end"] = ends.get(person["id"], "erased")

    def _settle(self) -> None:
        while self._sources.settle(self._source, self.holder)["files"]:
            pass


def _name(file: File) -> str:
    return "" if file.shown is None else file.shown.person
