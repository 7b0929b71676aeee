"""Settings are values: checked by name, built once, secrets never shown."""

from pathlib import Path

import pytest

from services.errors import InvalidSettings
from services.settings.service import BrokerSettings, CatalogSettings, Environment, Home, Limits, PhotoStoreSettings


def test_what_is_not_set_has_its_default() -> None:
    assert Environment.of_process({}).load(Limits).max_upload_mb == 20


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "colega.env"
    file.write_text("COLEGA_MAX_UPLOAD_MB=5\nCOLEGA_MAX_PIXELS=1000\nOTHER=1\n")

    limits = Environment.of_process({"COLEGA_ENV_FILE": str(file), "COLEGA_MAX_UPLOAD_MB": "7"}).load(Limits)

    assert (limits.max_upload_mb, limits.max_pixels) == (7, 1000)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s3"
    file.write_text("hush\n")

    store = Environment.of_process({"COLEGA_PHOTOS_SECRET_KEY_FILE": str(file)}).load(PhotoStoreSettings)

    assert store.photos_secret_key.get_secret_value() == "hush"


def test_a_secret_is_not_shown() -> None:
    broker = Environment.of_process({"COLEGA_BROKER_URL": "redis://:hush@127.0.0.1/0"}).load(BrokerSettings)

    assert "hush" not in repr(broker)


def test_a_misspelt_name_is_refused_with_the_nearest_valid_one() -> None:
    with pytest.raises(InvalidSettings, match=r"no setting COLEGA_MAX_UPLOAD_MEGS\. Did you mean COLEGA_MAX_UPLOAD_MB"):
        Environment.of_process({"COLEGA_MAX_UPLOAD_MEGS": "7"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("COLEGA_MAX_UPLOAD_MB", "0"), ("COLEGA_MAX_UPLOAD_MB", "many"), ("COLEGA_LOG_FORMAT", "xml")],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    environment = Environment.of_process({name: value})

    with pytest.raises(InvalidSettings, match=name):
        for group in (Limits, Home, CatalogSettings):
            environment.load(group)


@pytest.mark.parametrize("name", ["COLEGA_ENV_FILE", "COLEGA_BROKER_URL_FILE"])
def test_a_named_file_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidSettings, match=name):
        Environment.of_process({name: "/nowhere/at/all"})
