"""The whole service with its vectors in Milvus."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.milvus import MilvusLite
from tests.service import Service
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def search(client: httpx.Client, photo: Path) -> httpx.Response:
    return client.post("/v1/search", files={"photo": photo.read_bytes()})


@pytest.fixture
def own(milvus: MilvusLite, tmp_path: Path) -> Iterator[MilvusLite]:
    """One that may be killed."""
    assert milvus.uri  # Where there is none for other tests, there is none here.
    server = MilvusLite(tmp_path / "milvus")
    server.start()
    yield server
    server.kill()


def test_people_are_found_after_milvus_was_away_and_after_a_new_start(
    own: MilvusLite, tmp_path: Path, examples: Path
) -> None:
    settings = {"COLEGA_INDEX_BACKEND": "milvus", "COLEGA_MILVUS_URI": own.uri}
    one = examples / "queries" / "one.jpg"
    with Service(tmp_path / "data", environment=settings) as service:
        service.start("--photos", str(examples / "people"))
        with service.client() as client:
            assert "Barack Obama" in search(client, one).text
            own.kill()
            refused = search(client, one)
            own.start()
            eventually(lambda: search(client, one).status_code == 200)
            assert "Barack Obama" in search(client, one).text
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/index-unavailable")
        service.end()

        service.start()

        with service.client() as client:
            eventually(lambda: "Barack Obama" in search(client, one).text)
