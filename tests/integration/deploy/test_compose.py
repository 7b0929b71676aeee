"""docker-compose.yml, read: what must hold of every container, and that it runs what ``colega up`` runs."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from services.local import programs, seaweedfs, valkey
from services.local.door import Door
from services.local.instance import Instance
from services.local.ports import choose
from services.settings.service import Environment
from tests.integration.deploy import composed
from tests.integration.deploy.composed import FILE, ROOT, Composed, Refused

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / FILE).read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
ROOT_FOR_A_MOMENT = "volumes"
"""Gives new volumes to their users, with the one capability that this takes, and ends."""
ALL = "minio,seaweedfs,cpu,gpu,faiss,milvus"
DATA = Path("/data")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Composed:
    """The file with a new .env, and every profile."""
    return composed.made_ready(tmp_path_factory.mktemp("compose"), ALL)


def test_the_file_is_what_the_compose_specification_says() -> None:
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text("utf-8"))

    jsonschema.Draft7Validator(schema).validate(DOCUMENT)


def test_no_key_stands_in_two_mappings_that_are_merged() -> None:
    """Which of them holds is read in more than one way."""
    text = (ROOT / FILE).read_text("utf-8")
    anchors = {found[2]: DOCUMENT[found[1]] for found in re.finditer(r"^(x-[\w-]+): &([\w-]+)", text, re.MULTILINE)}

    for merged in re.findall(r"<<: \[([^\]]*)\]", text):
        keys = [key for name in merged.split(",") for key in anchors[name.strip(" *")]]
        assert len(keys) == len(set(keys)), merged


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_write_and_become_nothing_that_it_need_not(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == ROOT_FOR_A_MOMENT:
        assert (service["cap_add"], service["network_mode"], service["restart"]) == (["CHOWN"], "none", "no")
    else:
        assert "cap_add" not in service
        assert int(service["user"].split(":")[0]) > 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_limits_and_is_started_again(name: str) -> None:
    service = SERVICES[name]

    assert service["mem_limit"]
    assert service["cpus"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    if service["restart"] != "no":
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_built_here_or_pinned_by_its_content(name: str) -> None:
    image = SERVICES[name]["image"]

    assert ("build" in SERVICES[name] and image.startswith("colega-")) or "@sha256:" in image


def test_only_the_gateway_is_published_and_on_this_machine_unless_said_otherwise(made: Composed) -> None:
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["gateway"]
    assert made.services["gateway"].ports == [("127.0.0.1", 8000, 8000)]
    assert DOCUMENT["networks"]["inner"]["internal"] is True


def test_without_secrets_of_its_own_nothing_starts(tmp_path: Path) -> None:
    shutil.copy(ROOT / FILE, tmp_path)

    with pytest.raises(Refused, match="make-env"):
        Composed.read(tmp_path)


def test_secrets_are_files_and_new_each_time(made: Composed, tmp_path: Path) -> None:
    again = composed.made_ready(tmp_path, ALL)

    assert made.secrets.keys() == again.secrets.keys()
    for name, path in made.secrets.items():
        assert path.read_text("utf-8") != again.secrets[name].read_text("utf-8")
        assert path.parent.stat().st_mode & 0o777 == 0o700
    for service in made.services.values():
        for name, value in service.environment.items():
            if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "KEY", "ROOT_USER")):
                assert value.removeprefix("/run/secrets/") in service.secrets, f"{service.name}: {name}"


def test_make_env_never_writes_over_what_is_there(made: Composed) -> None:
    secret = made.secrets["wrapping_keys"].read_bytes()
    again = subprocess.run(
        [made.folder / "infra/compose/make-env"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )

    assert again.returncode == 2
    assert "left as it is" in again.stderr
    assert made.secrets["wrapping_keys"].read_bytes() == secret


def test_every_setting_of_a_container_is_a_setting(made: Composed) -> None:
    """An unknown name, or a secret that it is not given, would stop its start."""
    for service in made.services.values():
        given = {name: value for name, value in service.environment.items() if name.startswith("COLEGA_")}
        here = {
            name: str(made.secrets[value.removeprefix("/run/secrets/")]) if value.startswith("/run/secrets/") else value
            for name, value in given.items()
        }
        Environment.of_process(here)


def test_containers_run_what_colega_up_runs(made: Composed) -> None:
    instance = Instance(ports=choose([valkey.PORT, *seaweedfs.PORTS], {}))
    environment = programs.environment(DATA, instance, programs.Given(catalog=False, photos=False, broker=False))
    local = [
        programs.gateway(environment, Door("0.0.0.0", 8000, None, None)),
        programs.searcher(environment),
        *programs.workers(environment, DATA, 2),
    ]
    asked = {program.name: [str(part) for part in program.argv][1:] for program in local}

    for name, argv in asked.items():
        container = made.services[name].argv
        assert container[0] == "python"
        assert _without_count(container[1:]) == _without_count(argv)


def test_the_store_of_the_tests_has_the_settings_of_colega_up(made: Composed, tmp_path: Path) -> None:
    instance = Instance(ports=choose([valkey.PORT, *seaweedfs.PORTS], {}))
    local = {str(part) for part in seaweedfs.program(tmp_path, instance).argv if str(part).startswith("-")}
    places = ("-dir", "-ip", "-master.port", "-volume.port", "-filer.port", "-s3.port=", "-admin.port")

    container = set(made.services["seaweedfs"].argv[-1].split())

    assert {flag for flag in local if not flag.startswith(places)} <= container


def test_the_broker_keeps_nothing(made: Composed) -> None:
    argv = made.services["valkey"].argv

    assert argv[argv.index("--save") + 1] == ""
    assert argv[argv.index("--appendonly") + 1] == "no"
    assert argv[argv.index("--maxmemory-policy") + 1] == "noeviction"
    assert made.services["valkey"].volumes == []
    assert "/data" in dict(made.services["valkey"].tmpfs)


def test_who_unpacks_archives_or_trains_has_a_disk_to_do_it_on(made: Composed) -> None:
    """Which is a container's own, so that one does not take what another has there for left over."""
    them = [made.services[name] for name in ("bulk", "bulk-gpu", "training")]
    disks = {name for one in them for name, target in one.volumes if target == "/tmp"}

    assert len(disks) == len(them)
    assert [one.tmpfs for one in them] == [[]] * len(them)


def test_profiles_choose_store_workers_and_index(tmp_path: Path) -> None:
    usual = composed.made_ready(tmp_path / "a", "minio,cpu,faiss").services
    other = composed.made_ready(tmp_path / "b", "seaweedfs,gpu").services
    milvus = composed.made_ready(tmp_path / "c", "minio,cpu,milvus").services

    assert {"minio", "interactive", "bulk", "searcher", "training", "maintenance"} <= usual.keys()
    assert not {"seaweedfs", "bulk-gpu", "milvus"} & usual.keys()
    assert {"seaweedfs", "interactive-gpu", "bulk-gpu", "searcher-gpu"} <= other.keys()
    assert not {"minio", "interactive", "bulk", "searcher"} & other.keys()
    assert milvus["searcher-milvus"].environment["COLEGA_INDEX_BACKEND"] == "milvus"
    assert "milvus" in milvus
    assert "searcher" not in milvus
    for name in ("interactive-gpu", "bulk-gpu", "searcher-gpu"):
        [device] = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]


def test_docker_compose_reads_the_file_as_these_tests_do(made: Composed) -> None:
    command = shutil.which("docker-compose")
    if command is None:
        pytest.skip("docker-compose is not installed")
    read = subprocess.run(
        [command, "config"], cwd=made.folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    services = yaml.safe_load(read.stdout)["services"]

    assert services.keys() == made.services.keys()
    for name, service in made.services.items():
        theirs = services[name]
        assert [*theirs.get("entrypoint", []), *theirs.get("command", [])] == _escaped(service.argv)
        assert theirs.get("environment", {}) == service.environment
        assert theirs["user"] == ":".join(map(str, service.user))


def _escaped(argv: list[str]) -> list[str]:
    """What is printed can be read again: a dollar stands twice."""
    return [word.replace("$", "$$") for word in argv]


def _without_count(argv: list[str]) -> list[str]:
    """How many processes there are is the machine's business."""
    found = list(argv)
    if "-c" in found and "celery" in found:
        found[found.index("-c") + 1] = "N"
    return found
