"""What the searcher needs to know of Milvus before it begins."""

import pytest

from services.errors import InvalidSettings
from services.settings.service import MilvusSettings
from tests.unit.index.arrays import WrittenLog
from workers.serving.milvus import Milvus


@pytest.mark.parametrize("uri", ["", "http://root:secret@milvus:19530"], ids=["none", "with a password"])
def test_an_address_that_cannot_be_used_or_shown_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSettings, match="COLEGA_MILVUS_URI") as refused:
        Milvus(MilvusSettings(milvus_uri=uri), WrittenLog(), lambda: True)

    assert "secret" not in str(refused.value)
