"""Whom a file shows: by its folder, its name, or a manifest."""

import pytest

from services.errors import InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources.layouts import Layout, Shown, labels, read_manifest


def test_the_folder_right_above_names_the_person() -> None:
    found = labels(Layout.AUTO, ["Ana/1.jpg", "staff/Ben/2.jpg"], None)

    assert [found.of(path).person for path in ("Ana/1.jpg", "staff/Ben/2.jpg")] == ["Ana", "Ben"]
    with pytest.raises(PhotoRefused) as refused:
        found.of("1.jpg")
    assert refused.value.reason is Rejection.INVALID_NAME


@pytest.mark.parametrize(
    ("name", "person"), [("Ana_Ruiz_0001.jpg", "Ana_Ruiz"), ("Ben-2.png", "Ben"), ("José 03.jpg", "José")]
)
def test_a_numbered_file_name_names_the_person(name: str, person: str) -> None:
    assert labels(Layout.AUTO, [name], None).of(name).person == person


def test_a_manifest_comes_before_all_else() -> None:
    manifest = '\ufeffpath;person;external_id;team\r\na.jpg;"Pérez; Ana";e1;Sales\r\n'.encode()

    found = labels(Layout.AUTO, ["x/a.jpg", "a.jpg"], manifest)

    assert found.of("a.jpg") == Shown("Pérez; Ana", "e1", {"team": "Sales"})
    with pytest.raises(PhotoRefused) as refused:
        found.of("x/a.jpg")
    assert refused.value.reason is Rejection.NOT_LISTED


@pytest.mark.parametrize(
    "manifest", [b"", b"name,file\n", "path,person\na,Jos\u00e9".encode("latin-1"), b"path\na.jpg\n"]
)
def test_a_manifest_that_cannot_be_read_says_what_it_must_be(manifest: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"path,person|UTF-8"):
        read_manifest(manifest)


def test_of_a_path_named_twice_the_first_row_counts() -> None:
    assert read_manifest(b"path,person\na.jpg,Ana\na.jpg,Ben\n") == {"a.jpg": Shown("Ana")}


def test_a_manifest_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(InvalidRequest, match=r"manifest\.csv"):
        labels(Layout.MANIFEST, ["a.jpg"], None)
