"""A collection is kept in step with a folder: what is new comes, what has changed changes, and nobody leaves by accident."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli import syncing
from services.cli.client import Client
from services.cli.service import Document, ServiceError
from services.cli.sync_told import Told, Wanted
from services.errors import Conflict
from tests.running import Running
from tests.waiting import eventually


class Staff:
    """A folder of staff photos, and the collection that is kept in step with it."""

    def __init__(self, service: Running, gallery: str, folder: Path, examples: Path) -> None:
        self.service, self.gallery, self.folder = service, gallery, folder
        self.client: Client = service.client(gallery)
        shutil.copytree(examples / "people", folder)

    def sync(self, *, remove_missing: bool = False, dry_run: bool = False, yes: bool = False) -> Told:
        wanted = Wanted(self.folder, "staff", remove_missing=remove_missing, dry_run=dry_run, yes=yes)
        return syncing.run(self.client, wanted)

    def people(self) -> dict[str, int]:
        return {person["name"]: person["faces"] for person in self.client.people.list()}

    def person(self, name: str) -> Document:
        [found] = self.client.people.named(name)
        return self.client.people.show(found["id"])

    def some(self) -> Path:
        """The folder of somebody with one photo."""
        return next(path for path in sorted(self.folder.iterdir()) if len(list(path.iterdir())) == 1)


@pytest.fixture
def staff(service: Running, gallery: str, tmp_path: Path, examples: Path) -> Staff:
    return Staff(service, gallery, tmp_path / "staff", examples)


def counts(told: Told, *which: str) -> tuple[int, ...]:
    summary = told.summary()
    return tuple(summary[each] for each in which)


def test_what_is_unchanged_is_not_read_again(staff: Staff) -> None:
    first = staff.sync()
    files = sorted(staff.folder.rglob("*.jpg"))
    for file in files:
        file.chmod(0)  # Even root sees by the time of access that nobody opened it.
    read_at = [file.stat().st_atime_ns for file in files]

    second = staff.sync()

    assert counts(first, "new", "done", "rejected") == (5, 5, 0)
    assert counts(second, "unchanged", "new", "done") == (5, 0, 0)
    assert [file.stat().st_atime_ns for file in files] == read_at


def test_a_dry_run_tells_and_changes_nothing(staff: Staff) -> None:
    before = staff.sync(dry_run=True)
    assert counts(before, "new", "done") == (5, 0)
    assert staff.people() == {}
    assert staff.client.sources.list() == []

    staff.sync()
    gone = staff.some()
    shutil.rmtree(gone)
    there = staff.people()
    after = staff.sync(dry_run=True, remove_missing=True, yes=True)

    assert staff.people() == there
    assert [(person["name"], person["end"]) for person in after.missing] == [(gone.name, "would be erased")]


def test_who_has_left_is_listed_and_erased_only_when_asked_and_confirmed(staff: Staff) -> None:
    staff.sync()
    gone = staff.some()
    shutil.rmtree(gone)

    listed = staff.sync()
    with pytest.raises(Conflict, match="more than a tenth"):
        staff.sync(remove_missing=True)
    assert gone.name in staff.people()
    erased = staff.sync(remove_missing=True, yes=True)

    assert [(person["name"], person["end"]) for person in listed.missing] == [(gone.name, "listed")]
    assert [(person["name"], person["end"]) for person in erased.missing] == [(gone.name, "erased")]
    assert gone.name not in staff.people()
    assert staff.sync(remove_missing=True).missing == []


def test_a_folder_that_is_not_mounted_erases_nobody(staff: Staff) -> None:
    staff.sync()
    shutil.rmtree(staff.folder)
    staff.folder.mkdir()

    with pytest.raises(Conflict, match="no photos"):
        staff.sync(remove_missing=True)
    with pytest.raises(Conflict, match="no photos"):
        staff.sync(dry_run=True)

    assert len(staff.people()) == 4


def test_a_changed_file_takes_the_place_of_what_it_was(staff: Staff) -> None:
    staff.sync()
    folder = staff.some()
    [photo] = folder.iterdir()
    [before] = {face["photo_id"] for face in staff.person(folder.name)["shown_in"]}
    photo.write_bytes(photo.read_bytes() + b"\0")

    told = staff.sync()

    assert counts(told, "changed", "done") == (1, 1)
    [after] = {face["photo_id"] for face in staff.person(folder.name)["shown_in"]}
    assert after != before
    with pytest.raises(ServiceError, match="no photo"):
        staff.client.photos.show(before)


def test_a_renamed_file_is_the_same_photo(staff: Staff) -> None:
    staff.sync()
    folder = staff.some()
    [photo] = folder.iterdir()
    [before] = {face["photo_id"] for face in staff.person(folder.name)["shown_in"]}
    photo.rename(folder / "another name.jpg")

    told = staff.sync()

    assert counts(told, "renamed", "missing") == (1, 0)
    assert {face["photo_id"] for face in staff.person(folder.name)["shown_in"]} == {before}
    assert counts(staff.sync(), "unchanged", "missing") == (5, 0)


def test_a_file_that_moves_to_somebody_else_is_theirs(staff: Staff) -> None:
    staff.sync()
    folder = next(path for path in sorted(staff.folder.iterdir()) if len(list(path.iterdir())) > 1)
    photo = min(folder.iterdir())
    (staff.folder / "Somebody Else").mkdir()
    photo.rename(staff.folder / "Somebody Else" / photo.name)

    told = staff.sync()

    assert counts(told, "new", "done", "rejected") == (1, 1, 0)
    assert (staff.people()[folder.name], staff.people()["Somebody Else"]) == (1, 1)


def test_a_manifest_changes_names_and_attributes_of_who_stays_the_same(staff: Staff) -> None:
    photo = next(iter(staff.some().iterdir())).relative_to(staff.folder).as_posix()
    manifest = staff.folder / "manifest.csv"
    manifest.write_text(f"path,person,external_id,team\n{photo},Ana,7,Sales\n", "utf-8")
    staff.sync()
    manifest.write_text(f"path,person,external_id,team,expires_at\n{photo},Ana Roe,7,Research,2999-12-31\n", "utf-8")

    told = staff.sync()

    assert counts(told, "unchanged", "done") == (1, 0)
    assert [person["name"] for person in told.updated] == ["Ana Roe"]
    person = staff.person("Ana Roe")
    assert (person["external_id"], person["attributes"]) == ("7", {"team": "Research"})
    assert person["expires_at"].startswith("3000-01-01")
    assert staff.sync().updated == []


def test_who_was_erased_here_does_not_come_back_by_the_same_file(staff: Staff) -> None:
    staff.sync()
    name = staff.some().name
    staff.client.people.delete(staff.person(name)["id"])

    told = staff.sync()

    assert counts(told, "unchanged", "erased", "done") == (4, 1, 0)
    assert name not in staff.people()
    paths = [row["path"] for row in staff.client.sources.files(staff.client.sources.list()[0]["id"])]
    assert not any(name in path for path in paths)


def test_who_has_photos_from_elsewhere_stays_with_those(staff: Staff) -> None:
    staff.sync()
    folder = next(path for path in sorted(staff.folder.iterdir()) if len(list(path.iterdir())) > 1)
    first = min(folder.iterdir())
    told = staff.client.people.add_photos(staff.person(folder.name)["id"], [first])  # The same bytes, by hand.
    staff.service.ended(told["job"], staff.gallery)
    shutil.rmtree(folder)

    left = staff.sync(remove_missing=True, yes=True)

    [person] = left.missing
    assert person["end"].startswith("stays: 1 photo")
    assert staff.people()[folder.name] == 1


def test_a_renamed_person_keeps_getting_their_photos(staff: Staff) -> None:
    staff.sync()
    folder = staff.some()
    staff.client.people.rename(staff.person(folder.name)["id"], "Known Otherwise Here")
    [photo] = folder.iterdir()
    shutil.copy(photo, folder / "more.jpg")
    (folder / "more.jpg").write_bytes(photo.read_bytes() + b"\0")

    staff.sync()

    assert staff.people()["Known Otherwise Here"] == 2
    assert folder.name not in staff.people()


def test_rejected_files_are_told_of_every_time_and_sent_once(staff: Staff) -> None:
    (staff.some() / "broken.jpg").write_bytes(b"no picture at all")
    (staff.some() / "notes.txt").write_text("hello", "utf-8")
    first, second = staff.sync(), staff.sync()

    assert counts(first, "rejected", "done") == counts(second, "rejected", "unchanged") == (1, 5)
    assert second.summary()["reasons"] == {"not_an_image": 1}
    assert second.summary()["job"] is None


def test_two_at_once_are_refused(staff: Staff) -> None:
    source = staff.client.sources.ensure("staff")["id"]
    staff.client.sources.begin(source, "elsewhere:1:abc")

    with pytest.raises(ServiceError, match="already"):
        staff.sync()

    staff.client.sources.end(source, "elsewhere:1:abc")
    assert counts(staff.sync(), "done") == (5,)


MOMENTS = 12 if os.environ.get("COLEGA_SOAK") else 1
"""At so many moments of a synchronisation it is killed."""


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_one_that_was_killed_at_any_moment_is_run_again_at_once(staff: Staff, moment: int) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(staff.service.data), "COLEGA_DATA": str(staff.service.data)}
    command = [sys.executable, "-m", "services.cli.main", "import", str(staff.folder), "--sync", "--source", "staff"]
    process = subprocess.Popen([*command, "--collection", staff.gallery, "--json"], env=environment)
    eventually(lambda: any(each["held_by"] for each in staff.client.sources.list()) or process.poll() is not None)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment * 0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()

    again = staff.service.answer("import", str(staff.folder), "--sync", "--source", "staff", collection=staff.gallery)

    assert again["rejected"] == 0
    assert sorted(staff.people().values()) == [1, 1, 1, 2]
    assert counts(staff.sync(), "unchanged") == (5,)


def test_the_command_reports_and_says_by_its_exit_code_what_it_refuses(staff: Staff, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    words = ("import", str(staff.folder), "--sync")
    done = staff.service.colega(*words, "--report", str(report), "--json", collection=staff.gallery)
    shutil.rmtree(staff.some())
    refused = staff.service.colega(*words, "--remove-missing", collection=staff.gallery)
    shown = staff.service.colega(*words, "--dry-run", collection=staff.gallery)

    assert (done.returncode, refused.returncode, shown.returncode) == (0, 2, 0)
    assert json.loads(done.stdout)["done"] == 5
    assert len(report.read_text("utf-8").splitlines()) == 6
    assert "more than a tenth" in refused.stderr
    assert "Nothing is changed" in shown.stdout
