"""The process that compares: it answers as its functions do, and it ends when nobody waits for it any more."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index import grouping, joining
from index.joining import JoiningProcess, Stream
from index.pairs import pairs_above
from index.protocol import Half
from services.errors import InvalidRequest, Unavailable
from tests.unit.index.arrays import D, around, unit_vectors
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def _stream(vectors: Half) -> Stream:
    return Stream(len(vectors), (vectors[start : start + 7] for start in range(0, len(vectors), 7)))


@pytest.fixture
def faces() -> Half:
    """Five people with four faces each."""
    centres = unit_vectors(5, 4)
    return np.concatenate([around(centre, 4, 0.1, n) for n, centre in enumerate(centres)]).astype(np.float16)


def test_it_finds_what_its_functions_find(faces: Half) -> None:
    people = unit_vectors(9, 4).astype(np.float16)
    pairs = pairs_above(faces, 0.6, most=1000)
    expected = grouping.grouped(faces, pairs, 0.6)
    places, similarities = grouping.nearest(expected, faces, people)

    clusters = JoiningProcess().clusters(_stream(faces), _stream(people), D, 0.6)
    listed = JoiningProcess().pairs(_stream(faces), D, 0.6)

    np.testing.assert_array_equal(clusters.groups.members, expected.members)
    np.testing.assert_array_equal(clusters.groups.starts, expected.starts)
    np.testing.assert_array_equal(clusters.people, places)
    np.testing.assert_allclose(clusters.similarities, similarities, atol=1e-6)
    assert set(zip(listed.first.tolist(), listed.second.tolist(), strict=True)) == set(
        zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    )
    assert (np.diff(listed.similarities) <= 0).all()


def test_nothing_to_compare_is_nothing_alike() -> None:
    nothing = np.zeros((0, D), np.float16)

    assert len(JoiningProcess().clusters(_stream(nothing), _stream(nothing), D, 0.6).groups) == 0
    assert len(JoiningProcess().pairs(_stream(nothing), D, 0.6)) == 0


def test_a_refusal_comes_through_as_one(faces: Half, monkeypatch: pytest.MonkeyPatch) -> None:
    alike = np.repeat(faces[:1], 1500, axis=0)
    with pytest.raises(InvalidRequest, match="Give a higher threshold"):
        JoiningProcess().pairs(_stream(alike), D, 0.6)

    monkeypatch.setattr(joining, "MOST_VECTORS", 10)
    with pytest.raises(InvalidRequest, match="20 are too many"):
        JoiningProcess().pairs(_stream(faces), D, 0.6)


def test_one_that_is_closed_or_killed_says_so_and_the_next_works(faces: Half) -> None:
    process = JoiningProcess()

    def killing() -> Iterator[Half]:
        yield faces[:10]
        assert process._process is not None
        os.kill(process._process.pid, signal.SIGKILL)
        yield faces[10:]

    with pytest.raises(Unavailable, match="ended early"):
        process.pairs(Stream(len(faces), killing()), D, 0.6)
    assert len(process.pairs(_stream(faces), D, 0.6)) > 0

    def closing() -> Iterator[Half]:
        yield faces[:10]
        process.close()
        yield faces[10:]

    with pytest.raises(Unavailable, match="ended early"):
        process.pairs(Stream(len(faces), closing()), D, 0.6)
    with pytest.raises(Unavailable, match="ended early"):
        process.pairs(_stream(faces), D, 0.6)


def test_a_reader_of_vectors_that_fails_leaves_no_process(faces: Half) -> None:
    process = JoiningProcess()

    def failing() -> Iterator[Half]:
        yield faces[:10]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        process.pairs(Stream(len(faces), failing()), D, 0.6)

    assert process._process is not None
    assert process._process.poll() is not None


def test_it_runs_at_the_lowest_priority_and_ends_when_its_parent_is_killed() -> None:
    program = (
        "import sys, numpy as np\n"
        "from index.joining import JoiningProcess, Stream\n"
        "rows = np.eye(512, dtype=np.float16)\n"
        "def blocks():\n"
        "    for _ in range(400): yield rows\n"
        "    print('sent', flush=True)\n"
        "JoiningProcess().pairs(Stream(400 * 512, blocks()), 512, 1.0)\n"  # Minutes of comparing.
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"sent\n"
        [child] = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        eventually(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[16] == "19")
        parent.kill()

    eventually(lambda: not Path(f"/proc/{child}").exists() or _is_dead(child), within_s=30)


def _is_dead(process: str) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
