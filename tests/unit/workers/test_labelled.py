"""Labelled photos: folders of people, and lists of pairs; real photos and the real detector."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.errors import InvalidRequest, NotFound
from workers import labelled
from workers.faces.detect import Detector
from workers.galleries import Gallery, ListedPairs
from workers.models import detectors

MAX_PIXELS = 50_000_000


@pytest.fixture(scope="module")
def detector() -> Detector:
    """The built-in one."""
    return detectors.mtcnn()


def test_each_folder_is_a_person(detector: Detector, examples: Path) -> None:
    """Four people, five photos, in the order of names."""
    told: list[tuple[int, int]] = []

    gallery = labelled.of_directory(
        examples / "people", detector, max_pixels=MAX_PIXELS, told=lambda done, total: told.append((done, total))
    )

    assert gallery.names == ["Barack Obama", "Eileen Collins", "Grace Hopper", "Joe Biden"]
    assert gallery.people.tolist() == [0, 0, 1, 2, 3]
    assert gallery.photos[1] == "Barack Obama/2.jpg"
    assert len(gallery.chips) == 5
    assert told[-1] == (5, 5)


def test_photos_that_cannot_be_used_are_counted_each_for_what_it_is(
    detector: Detector, examples: Path, tmp_path: Path
) -> None:
    """No face is not the same as no photo; hidden files and those of nobody are neither."""
    _copy(examples, tmp_path, "Ana/1.jpg")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "Ana" / "blank.png")
    (tmp_path / "Ana" / "notes.txt").write_text("no photo")
    (tmp_path / "Ana" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "readme.txt").write_text("of nobody")

    gallery = labelled.of_directory(tmp_path, detector, max_pixels=MAX_PIXELS)

    assert gallery.photos == ["Ana/1.jpg"]
    assert gallery.undetected == ["Ana/blank.png"]
    assert gallery.undetected_people.tolist() == [0]
    assert gallery.unreadable == {"Ana/notes.txt": "not_an_image"}


def test_one_name_in_two_unicode_forms_is_one_person(detector: Detector, examples: Path, tmp_path: Path) -> None:
    """As two systems write it; and names may be as odd as file systems allow."""
    for form in ("NFC", "NFD"):
        _copy(examples, tmp_path, f"{form}/{unicodedata.normalize(form, 'José Ñandú 日本')}/a'b & c;d #1 100%.jpg")

    gallery = labelled.of_directory(tmp_path, detector, max_pixels=MAX_PIXELS)

    assert gallery.names == ["José Ñandú 日本"]
    assert gallery.people.tolist() == [0, 0]


def test_folders_may_be_links_and_may_lead_in_circles(detector: Detector, examples: Path, tmp_path: Path) -> None:
    """A subset made of links is a set like any other."""
    (tmp_path / "Ana").symlink_to(examples / "people" / "Barack Obama")
    (tmp_path / "Bea").mkdir()
    (tmp_path / "Bea" / "up").symlink_to(tmp_path)
    _copy(examples, tmp_path, "Bea/1.jpg")

    gallery = labelled.of_directory(tmp_path, detector, max_pixels=MAX_PIXELS)

    assert gallery.photos == ["Ana/1.jpg", "Ana/2.jpg", "Bea/1.jpg"]


@pytest.mark.parametrize(
    ("files", "says"),
    [([], "no folders with photos"), (["1.jpg"], "no folders with photos"), (["Ana/notes.txt"], "not_an_image")],
)
def test_a_directory_that_labels_nothing_is_refused(
    detector: Detector, tmp_path: Path, files: list[str], says: str
) -> None:
    """With what to do about it."""
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no photo")

    with pytest.raises(InvalidRequest, match=says):
        labelled.of_directory(tmp_path, detector, max_pixels=MAX_PIXELS)


def test_a_directory_that_is_not_there_is_not_found(detector: Detector, tmp_path: Path) -> None:
    """Rather than empty."""
    with pytest.raises(NotFound, match="nowhere"):
        labelled.of_directory(tmp_path / "nowhere", detector, max_pixels=MAX_PIXELS)


def test_a_list_in_csv_names_photos_in_folders(detector: Detector, examples: Path, tmp_path: Path) -> None:
    """Its folders are the people where its labels agree with them; a photo without a face is row -1."""
    _copy(examples, tmp_path, "Ana/1.jpg", "Ana/2.jpg", "Bea/1.jpg")
    Image.new("RGB", (200, 200), "white").save(tmp_path / "Bea" / "blank.png")
    rows = ["Ana/1.jpg,Ana/2.jpg,1,2", "Ana/1.jpg,Bea/1.jpg,0,7", "Bea/1.jpg,Bea/blank.png,1,7"]

    gallery, listed = _listed(detector, tmp_path, ["path_a,path_b,same,lfw_fold", *rows])

    assert gallery.names == ["Ana", "Bea"]
    assert gallery.photos == ["Ana/1.jpg", "Ana/2.jpg", "Bea/1.jpg"]
    assert gallery.undetected == ["Bea/blank.png"]
    assert listed.identified
    assert (listed.first.tolist(), listed.second.tolist()) == ([0, 0, 2], [1, 2, -1])
    assert listed.same.tolist() == [True, False, True]
    assert listed.folds is not None
    assert listed.folds.tolist() == [0, 1, 1]


def test_a_list_whose_labels_contradict_the_folders_tells_nobody_apart(
    detector: Detector, examples: Path, tmp_path: Path
) -> None:
    """A person is then what mated pairs connect."""
    _copy(examples, tmp_path, "batch/1.jpg", "batch/2.jpg", "batch/3.jpg", "batch/4.jpg")
    rows = ["batch/1.jpg,batch/2.jpg,1", "batch/2.jpg,batch/3.jpg,1", "batch/1.jpg,batch/4.jpg,0"]

    gallery, listed = _listed(detector, tmp_path, ["path_a,path_b,same", *rows])

    people = dict(zip(gallery.photos, gallery.people.tolist(), strict=True))
    assert not listed.identified
    assert people["batch/1.jpg"] == people["batch/2.jpg"] == people["batch/3.jpg"] != people["batch/4.jpg"]


def test_a_list_as_lfw_has_it(detector: Detector, examples: Path, tmp_path: Path) -> None:
    """Names and numbers; the folds are in its order."""
    _copy(examples, tmp_path, *(f"{who}/{who}_{n:04d}.jpg" for who in ("Ana_B", "Cleo_D") for n in (1, 2)))
    rows = ["Ana_B\t1\t2", "Ana_B\t1\tCleo_D\t1", "Cleo_D\t1\t2", "Ana_B\t2\tCleo_D\t2"]

    gallery, listed = _listed(detector, tmp_path, ["2\t1", *rows], name="pairs.txt")

    assert len(gallery.photos) == 4
    assert listed.same.tolist() == [True, False, True, False]
    assert listed.folds is not None
    assert listed.folds.tolist() == [0, 0, 1, 1]


def test_a_list_finds_its_photos_whichever_way_their_names_are_written(
    detector: Detector, examples: Path, tmp_path: Path
) -> None:
    """Unicode in the other form, and slashes of another system."""
    _copy(examples, tmp_path, unicodedata.normalize("NFD", "José/1.jpg"), "Ana/1.jpg")

    gallery, _ = _listed(detector, tmp_path, ["path_a,path_b,same", "José/1.jpg,Ana\\1.jpg,0"])

    assert len(gallery.photos) == 2


def test_photos_that_a_list_names_and_that_are_not_there_are_named(
    detector: Detector, examples: Path, tmp_path: Path
) -> None:
    """With the line of the first that names them, and no more of them than one reads."""
    _copy(examples, tmp_path, "Ana/1.jpg")
    rows = [f"Ana/1.jpg,Bea/{n}.jpg,0" for n in range(9)]

    with pytest.raises(InvalidRequest, match=r"Bea/0\.jpg \(line 2\).*and 4 more"):
        _listed(detector, tmp_path, ["path_a,path_b,same", *rows])


def test_pairs_with_an_unreadable_photo_are_left_out(detector: Detector, examples: Path, tmp_path: Path) -> None:
    """And the photo is listed."""
    _copy(examples, tmp_path, "Ana/1.jpg", "Bea/1.jpg")
    (tmp_path / "Bea" / "2.jpg").write_bytes(b"\xff\xd8\xff no photo")

    gallery, listed = _listed(
        detector, tmp_path, ["path_a,path_b,same", "Ana/1.jpg,Bea/1.jpg,0", "Bea/1.jpg,Bea/2.jpg,1"]
    )

    assert list(gallery.unreadable) == ["Bea/2.jpg"]
    np.testing.assert_array_equal(listed.same, [False])


def _copy(examples: Path, home: Path, *names: str) -> None:
    """The same photo under all of *names*."""
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(examples / "people" / "Joe Biden" / "1.jpg", home / name)


def _listed(detector: Detector, home: Path, lines: list[str], name: str = "pairs.csv") -> tuple[Gallery, ListedPairs]:
    (home / name).write_text("\n".join(lines) + "\n", "utf-8")
    return labelled.of_pairs(home / name, None, detector, max_pixels=MAX_PIXELS)
