import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from services.errors import DiskFull, InvalidRequest, NotFound
from workers import comparing
from workers.folder_bench import FolderBench
from workers.models.bundle import Bundle


@pytest.fixture
def bench_over(tmp_path: Path) -> Callable[..., FolderBench]:
    """A bench whose folders are new."""

    def made(dataset: Path | None = None, output: Path = tmp_path / "out") -> FolderBench:
        return FolderBench(tmp_path / "models", tmp_path / "folder", output, dataset, 10**8, lambda _: None)

    return made


def test_a_model_is_found_by_folder_by_name_and_by_digest(
    bench_over: Callable[..., FolderBench], bundle: Bundle
) -> None:
    bench = bench_over()
    bench.models.mkdir()
    shutil.copytree(bundle.directory, bench.models / "somewhere", copy_function=os.link)
    (bench.models / "broken").mkdir()
    (bench.models / "broken" / "model.json").write_text("{")

    found = [bench.bundle(asked) for asked in (str(bundle.directory), bundle.digest, "somewhere")]

    assert {one.digest for one in found} == {bundle.digest}


def test_a_model_that_is_nowhere_is_said_to_be(bench_over: Callable[..., FolderBench]) -> None:
    with pytest.raises(NotFound, match="There is no model or folder of a bundle mine"):
        bench_over().bundle("mine")


def test_a_registered_model_is_a_folder_that_is_found_again(
    bench_over: Callable[..., FolderBench], bundle: Bundle
) -> None:
    bench = bench_over()

    places = [bench.register(bundle) for _ in range(2)]  # As a training does that was killed after it had registered.

    assert places == [str(bench.output / bundle.name)] * 2
    assert bench.bundle(places[0]).digest == bundle.digest
    assert [path.name for path in bench.output.iterdir()] == [bundle.name]


def test_without_photos_it_says_what_to_give(bench_over: Callable[..., FolderBench]) -> None:
    with pytest.raises(InvalidRequest, match="--dataset DIR"):
        bench_over().gallery()


def test_the_photos_of_a_directory_are_its_gallery(bench_over: Callable[..., FolderBench], examples: Path) -> None:
    gallery = bench_over(examples / "people").gallery()

    assert (len(gallery.names), len(gallery.chips)) == (4, 5)


def test_a_result_that_cannot_be_written_is_a_full_disk(bench_over: Callable[..., FolderBench], tmp_path: Path) -> None:
    made = tmp_path / "report.html"
    made.write_text("<p>")

    with pytest.raises(DiskFull, match="--output DIR"):
        bench_over(output=Path("/proc/nowhere")).keep("report.html", made)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"before": 1, "after": 2}, "photos in folders have none. Evaluate both models on them instead"),
        ({"before": "casia-webface"}, "the numbers of two generations. A rebuild asks for its comparison itself"),
    ],
)
def test_photos_in_folders_are_in_no_generation(
    bench_over: Callable[..., FolderBench], wanted: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        comparing.compare(wanted, bench_over())
