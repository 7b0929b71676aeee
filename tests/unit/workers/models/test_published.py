"""Published models are known by what they say."""

from pathlib import Path

import pytest

from services.errors import InvalidModel
from workers.models import published, sources
from workers.models.bundle import Bundle
from workers.models.sources import Brought


@pytest.mark.slow
def test_vggface2_is_known_and_brings_what_was_measured(shared: Path, tmp_path: Path) -> None:
    """Thresholds to search with at once, and what its int8 variant costs."""
    path = shared / "models" / "vggface2.safetensors"

    opened = sources.bundle_of(Brought(path, "mine", path.name, published="vggface2"), tmp_path / "bundle")

    assert opened.thresholds.for_gallery(100) > opened.thresholds.for_gallery(10)
    assert opened.variants["int8"]["loss"]["faces"] > 1900
    assert opened.variants["int8"]["tmr"]["fp32"] == pytest.approx(opened.variants["int8"]["tmr"]["int8"], abs=0.01)
    assert opened.embedder("int8").agreement >= 0.998


def test_one_model_is_not_another(bundle: Bundle) -> None:
    published.check("casia-webface", bundle)

    with pytest.raises(InvalidModel, match="not the model published as vggface2"):
        published.check("vggface2", bundle)
    with pytest.raises(InvalidModel, match="known are"):
        published.check("arcface", bundle)
