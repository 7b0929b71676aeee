"""What has changed in a folder, told from names, sizes and times: against a plain model, whatever is done to it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import path_hashes
from services.cli import sync_plan
from services.cli.sync_plan import File, said_of, whose_of
from services.errors import Conflict
from services.sources.entries import Entry
from services.sources.layouts import Shown

PEOPLE = ("Ana", "Ben", "Cem")
FILES = st.dictionaries(
    st.sampled_from([f"{person}/{number}.jpg" for person in PEOPLE for number in range(3)]),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
)


def file(path: str, size_bytes: int, modified_ns: int) -> File:
    return File(Entry(path, lambda: b""), size_bytes, modified_ns, Shown(path.partition("/")[0]))


def row(path: str, size_bytes: int, modified_ns: int, **other: Any) -> dict[str, Any]:
    shown = Shown(path.partition("/")[0])
    return {
        "path": path,
        "size_bytes": size_bytes,
        "modified_ns": modified_ns,
        "sha256": f"{size_bytes}{modified_ns}",
        "whose": whose_of(shown),
        "label": said_of(shown),
        "state": "done",
        "reason": None,
        "person_id": f"per_{shown.person}",
        "photo_id": "pho",
        **other,
    }


@given(before=FILES, now=FILES)
def test_a_plan_says_of_each_file_and_person_what_a_plain_comparison_says(
    before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]
) -> None:
    plan = sync_plan.plan([file(p, *s) for p, s in now.items()], [row(p, *s) for p, s in before.items()], [])

    assert {each.path for each in plan.new} == now.keys() - before.keys()
    assert {each.path for each in plan.changed} == {p for p in now.keys() & before.keys() if now[p] != before[p]}
    assert {each.path for each in plan.unchanged} == {p for p in now.keys() & before.keys() if now[p] == before[p]}
    assert {each["path"] for each in plan.missing} == before.keys() - now.keys()
    people = [{path.partition("/")[0] for path in files} for files in (before, now)]
    assert set(plan.leaving) == {f"per_{person}" for person in people[0] - people[1]}
    assert not plan.told


def test_who_was_merged_into_somebody_who_is_there_does_not_leave() -> None:
    rows = [row("Ana/1.jpg", 1, 1, person_id="per_both"), row("Ben/1.jpg", 1, 1, person_id="per_both")]

    plan = sync_plan.plan([file("Ana/1.jpg", 1, 1)], rows, [])

    assert plan.leaving == []
    assert [each["path"] for each in plan.missing] == ["Ben/1.jpg"]


def test_who_is_named_without_a_file_stays() -> None:
    plan = sync_plan.plan([file("Ana/1.jpg", 1, 1)], [row("Ben/1.jpg", 1, 1)], [Shown("Ben")])

    assert plan.leaving == []


def test_what_was_erased_is_known_by_the_hash_of_its_path() -> None:
    hidden = {"path": path_hashes.hashed("Ana/1.jpg"), "state": "erased", "whose": "", "person_id": None}
    blind = row("Ana/1.jpg", 1, 1) | hidden

    same = sync_plan.plan([file("Ana/1.jpg", 1, 1)], [blind], [])
    changed = sync_plan.plan([file("Ana/1.jpg", 2, 1)], [blind], [])
    gone = sync_plan.plan([], [blind], [])

    assert ([each.path for each in same.erased], same.new, same.missing) == (["Ana/1.jpg"], [], [])
    assert [each.path for each in changed.changed] == ["Ana/1.jpg"]
    assert gone.missing == []


def test_a_rejection_that_is_not_the_files_fault_is_tried_again() -> None:
    files = [file("Ana/1.jpg", 1, 1), file("Ben/1.jpg", 1, 1)]
    rows = [
        row("Ana/1.jpg", 1, 1, state="rejected", reason="no_consent", person_id=None),
        row("Ben/1.jpg", 1, 1, state="rejected", reason="no_face"),
    ]

    plan = sync_plan.plan(files, rows, [])

    assert [each.path for each in plan.changed] == ["Ana/1.jpg"]
    assert [(each.path, reason) for each, _, reason in plan.rejected] == [("Ben/1.jpg", "no_face")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is read by somebody whom permissions bind, root or not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    me = os.geteuid()
    if me == 0:
        os.chown(made, _NOBODY, -1)
        os.seteuid(_NOBODY)
    yield made
    os.seteuid(me)
    for each in (made, *made.iterdir()):
        each.chmod(0o755)
    shutil.rmtree(made)


_NOBODY = 65534


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100])
def test_who_is_in_a_folder_that_cannot_be_read_is_not_taken_for_gone(folder: Path, mode: int) -> None:
    (folder / "Ana").mkdir(mode=mode)

    with pytest.raises(Conflict, match=r"Ana.*cannot be read"):
        sync_plan.must_be_readable(folder)


def test_folders_of_the_operating_system_need_not_be_read(folder: Path) -> None:
    for name in ("Ana", "lost+found", ".snapshots"):
        (folder / name).mkdir(mode=0o755 if name == "Ana" else 0o000)

    sync_plan.must_be_readable(folder)
