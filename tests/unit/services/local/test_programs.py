"""What ``colega up`` runs, as data."""

from pathlib import Path

import pytest

from services.local import ports, programs, seaweedfs, valkey
from services.local.door import Door
from services.local.instance import WRAPPING_KEY, Instance
from services.local.programs import Given
from services.photos import wrapping
from services.settings.service import (
    BrokerSettings,
    CatalogSettings,
    Computing,
    Environment,
    GatewaySettings,
    Home,
    Limits,
    PhotoStoreSettings,
)

NOTHING = Given(catalog=False, photos=False, broker=False)
DATA = Path("/somewhere/data")


@pytest.fixture
def instance() -> Instance:
    """One with all of its ports and the secrets that its programs need."""
    return Instance(ports=ports.choose([valkey.PORT, *seaweedfs.PORTS], {}))


def test_every_setting_that_a_child_gets_is_a_setting(instance: Instance) -> None:
    """An unknown name would stop its start."""
    found = Environment.of_process(programs.environment(DATA, instance, NOTHING))

    assert found.load(Home).data == DATA
    assert (
        found.load(CatalogSettings).catalog_url.get_secret_value() == "sqlite:////somewhere/data/catalog/catalog.sqlite"
    )
    store = found.load(PhotoStoreSettings)
    assert store.photos_endpoint == seaweedfs.endpoint(instance.ports)
    assert store.photos_secret_key.get_secret_value() == instance.secrets["photos_secret_key"]
    assert instance.secrets["broker_password"] in found.load(BrokerSettings).broker_url.get_secret_value()


def test_what_the_user_has_set_is_handed_on_and_where_we_listen_is_not(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits and formats are the user's; URL and key are those of a client; nothing else of the environment is ours."""
    monkeypatch.setenv("COLEGA_MAX_UPLOAD_MB", "7")
    monkeypatch.setenv("COLEGA_API_KEY", "colega_of_another_service")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/agent")

    environment = programs.environment(DATA, instance, NOTHING)

    assert Environment.of_process(environment).load(Limits).max_upload_mb == 7
    assert not {"COLEGA_API_KEY", "SSH_AUTH_SOCK"} & set(environment)


def test_a_server_that_the_settings_name_is_used_and_none_started(instance: Instance) -> None:
    """A catalog on PostgreSQL, and the other two from here."""
    given = Given.by(Environment.of_process({"COLEGA_CATALOG_URL": "postgresql+psycopg://one/colega"}))

    assert given == Given(catalog=True, photos=False, broker=False)
    assert "COLEGA_CATALOG_URL" not in programs.environment(DATA, instance, given)


def test_children_are_told_where_the_wrapping_key_is_unless_the_user_gives_one(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its file: the key itself is in no environment that we make."""
    assert "COLEGA_WRAPPING_KEYS_FILE" not in programs.environment(tmp_path, instance, NOTHING)
    key = tmp_path / WRAPPING_KEY
    key.parent.mkdir()
    key.write_text(f"{wrapping.generated()}\n")

    made = programs.environment(tmp_path, instance, NOTHING)
    monkeypatch.setenv("COLEGA_WRAPPING_KEYS", wrapping.generated())
    given = Given.by(Environment.of_process())

    assert made["COLEGA_WRAPPING_KEYS_FILE"] == str(key)
    assert given.wrapping
    assert "COLEGA_WRAPPING_KEYS_FILE" not in programs.environment(tmp_path, instance, given)


def test_no_secret_is_seen_in_a_list_of_processes(instance: Instance, tmp_path: Path) -> None:
    """Command lines are for everybody to read."""
    environment = programs.environment(tmp_path, instance, NOTHING)
    all_programs = [
        valkey.program(tmp_path / "broker", instance.ports[valkey.PORT], instance.secret("broker_password")),
        seaweedfs.program(tmp_path / "store", instance),
        programs.searcher(environment),
        *programs.workers(environment, tmp_path, 2),
        programs.gateway(environment, Door("127.0.0.1", 8000, None)),
        programs.one_off("first-steps", "services.local.first_steps", environment),
    ]
    shown = " ".join(str(word) for program in all_programs for word in program.argv)

    assert len(instance.secrets) == 7
    assert not [name for name, secret in instance.secrets.items() if secret in shown]
    assert Environment.of_process(environment).load(GatewaySettings)


def test_photos_are_taken_in_with_less_right_to_the_processor_than_searches(instance: Instance, tmp_path: Path) -> None:
    """Bulk and maintenance step back, training most; the interactive workers and the searcher do not."""
    environment = programs.environment(tmp_path, instance, NOTHING)

    nice = {program.name: program.nice for program in programs.workers(environment, tmp_path, 2)}

    assert nice == {"interactive": 0, "bulk": 10, "maintenance": 10, "training": 19}
    assert programs.searcher(environment).nice == 0


def test_a_gateway_that_is_not_there_is_not_well() -> None:
    """Nor one that answers something else."""
    assert programs.health(Door("127.0.0.1", ports.choose(["a"], {})["a"], None)) is None


def test_a_gpu_takes_photos_in_by_one_process_with_large_messages(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is good for is many at once; searches stay on the processor unless all is put on the GPU."""
    monkeypatch.setenv("COLEGA_DEVICE", "cuda")

    environment = programs.environment(tmp_path, instance, NOTHING)

    processes = {p.name: p.argv[p.argv.index("-c") + 1] for p in programs.workers(environment, tmp_path, 4)}
    assert processes == {"interactive": "1", "bulk": "1", "maintenance": "1", "training": "1"}
    assert Environment.of_process(environment).load(Computing).chunk == 256


def test_without_a_gpu_there_is_a_process_for_each_core(
    instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a chunk is small."""
    monkeypatch.setenv("COLEGA_DEVICE", "cpu")

    environment = programs.environment(tmp_path, instance, NOTHING)

    processes = {p.name: p.argv[p.argv.index("-c") + 1] for p in programs.workers(environment, tmp_path, 4)}
    assert (processes["interactive"], processes["bulk"]) == ("4", "4")
    assert Environment.of_process(environment).load(Computing).chunk == 16
