"""Pair files, and the line that is wrong in them."""

from pathlib import Path

import pytest

from services.errors import InvalidRequest, NotFound
from workers.evaluation import pair_files


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    """The same four pairs in two folds."""
    csv = _file(
        tmp_path,
        "path_a,path_b,same,fold",
        "Ana/Ana_0001.jpg,Ana/Ana_0002.jpg,1,1",
        "Ana/Ana_0001.jpg,Bea/Bea_0010.jpg,0,1",
        "Bea/Bea_0001.jpg,Bea/Bea_0003.jpg,1,2",
        "Bea/Bea_0001.jpg,Ana/Ana_0002.jpg,0,2",
    )
    txt = _file(tmp_path, "2\t1", "Ana\t1\t2", "Ana\t1\tBea\t10", "Bea\t1\t3", "Bea\t1\tAna\t2")

    a, b = pair_files.read(csv), pair_files.read(txt)

    assert [(line.number, line.a, line.b, line.same) for line in a] == [
        (line.number, line.a, line.b, line.same) for line in b
    ]
    assert [line.fold for line in a] == ["1", "1", "2", "2"]
    assert [line.fold for line in b] == ["0", "0", "1", "1"]


def test_spreadsheets_write_csv_in_their_own_way(tmp_path: Path) -> None:
    """A byte order mark, semicolons, quotes, capitals, and columns in another order."""
    path = tmp_path / "pairs.csv"
    path.write_bytes('\ufeffSame;Path_A;Path_B\r\n1;"Ana; B/1.jpg";Ana/ñ.jpg\r\n'.encode())

    (line,) = pair_files.read(path)

    assert (line.a, line.b, line.same, line.fold) == ("Ana; B/1.jpg", "Ana/ñ.jpg", True, None)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["path_a,path_b,same", "a.jpg,b.jpg,1", "a.jpg,b.jpg,2"], "line 3: same is '2'"),
        (["path_a,path_b,same", "a.jpg,b.jpg,yes"], "line 2: same is 'yes'"),
        (["path_a,path_b,same", "a.jpg,b.jpg"], "line 2: 2 fields where the first line names 3"),
        (["path_a,path_b,same", "a.jpg,,1"], "line 2: a path is empty"),
        (["path_a,path_b", "a.jpg,b.jpg"], "no column same"),
        (["path_a,path_b,same"], "lists no pairs"),
        ([""], "line 1: neither"),
        (["one,two,three", "a,b,1"], "line 1: neither"),
        (["1\t1", "Ana\t1\tBea"], "line 2: a pair is a name and two numbers"),
        (["1\t1", "Ana 1 2"], "line 2: 1 fields"),
        (["2\t2", "Ana\t1\t2"], "1 pairs; its first line promises 2 folds of 4"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, lines: list[str], says: str) -> None:
    """So that it can be found in a file of six thousand."""
    with pytest.raises(InvalidRequest, match=says):
        pair_files.read(_file(tmp_path, *lines))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Rather than names misread."""
    path = tmp_path / "pairs.csv"
    path.write_bytes("path_a,path_b,same\nJosé/1.jpg,b.jpg,1\n".encode("latin-1"))

    with pytest.raises(InvalidRequest, match="UTF-8"):
        pair_files.read(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(NotFound, match=r"nowhere\.csv"):
        pair_files.read(tmp_path / "nowhere.csv")


def _file(folder: Path, *lines: str) -> Path:
    path = folder / f"pairs{len(list(folder.iterdir()))}"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
