"""The manifests for Kubernetes: valid by schema, locked down, running what docker-compose.yml runs."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from services.broker import names
from tests.integration.deploy import composed
from tests.integration.deploy.composed import ROOT

KUBERNETES = ROOT / "infra" / "kubernetes"
FOLDERS = sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))
OVERLAYS = sorted(path for path in (KUBERNETES / "overlays").iterdir())
OLDEST, NEWEST = "1.30", "1.37"
KEDA: dict[str, Any] = json.loads(Path(__file__).with_name("keda.json").read_text("utf-8"))

Manifest = dict[str, Any]


def _all_resources() -> list[Any]:
    """Every manifest that stands whole in a file; patches are seen where they are applied."""
    found = []
    for folder in FOLDERS:
        for name in _kustomization(folder).get("resources", []):
            if (folder / name).is_file():
                found += [
                    pytest.param(each, id=f"{name}-{each['kind']}-{each['metadata']['name']}")
                    for each in _read(folder / name)
                ]
    return found


def _kustomization(folder: Path) -> Manifest:
    found: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    return found


def _read(path: Path) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(path.read_text("utf-8")) if each]


RESOURCES = _all_resources()


@pytest.fixture(scope="module", params=OVERLAYS, ids=lambda path: str(path.name))
def rendered(request: pytest.FixtureRequest) -> list[Manifest]:
    """What an overlay makes of the base."""
    return _rendered(request.param)


def _rendered(folder: Path) -> list[Manifest]:
    tools = [[path] for path in [shutil.which("kustomize")] if path] + [
        [p, "kustomize"] for p in [shutil.which("kubectl")] if p
    ]
    if not tools:
        pytest.skip("neither kustomize nor kubectl is installed")
    command = [*tools[0], "build", str(folder)] if len(tools[0]) == 1 else [*tools[0], str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_manifest_is_valid(resource: Manifest) -> None:
    for version in (OLDEST, NEWEST):
        _validate(resource, version)


def test_an_overlay_gives_valid_manifests_and_none_twice(rendered: list[Manifest]) -> None:
    for each in rendered:
        _validate(each, NEWEST)

    names_ = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    assert len(names_) == len(set(names_))
    assert {each["metadata"].get("namespace") for each in rendered} == {"colega"}


def test_an_overlay_knows_every_image_by_a_tag_or_its_content(rendered: list[Manifest]) -> None:
    images = {container["image"] for pod in _pods(rendered) for container in _containers(pod)}

    assert all("@sha256:" in image or image.split(":")[0].startswith("colega-") for image in images)
    assert all(":" in image for image in images)


def test_nothing_is_listed_that_is_not_there() -> None:
    for folder in FOLDERS:
        made = _kustomization(folder)
        listed = [
            *made.get("resources", []),
            *made.get("components", []),
            *(p["path"] for p in made.get("patches", [])),
        ]
        assert [name for name in listed if not (folder / name).exists()] == []
        left = {p.name for p in folder.glob("*.yaml")} - {Path(name).name for name in listed} - {"kustomization.yaml"}
        assert not left


@pytest.mark.parametrize(
    "resource",
    [each for each in RESOURCES if each.values[0]["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}],
)
def test_a_pod_is_locked_down_as_its_container_in_compose_is(resource: Manifest) -> None:
    [pod] = _pods([resource])

    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in _containers(pod):
        locked = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["securityContext"] == locked
        assert container["resources"]["limits"]["memory"]
        assert container["resources"]["requests"]
    if resource["kind"] in {"Deployment", "StatefulSet"}:
        for container in pod["containers"]:
            assert "readinessProbe" in container or "livenessProbe" in container


def test_pods_run_what_compose_runs(tmp_path: Path) -> None:
    made = composed.made_ready(tmp_path, "minio,cpu,faiss")
    base = {
        each.values[0]["metadata"]["name"]: each.values[0]
        for each in RESOURCES
        if each.values[0]["kind"] == "Deployment"
    }

    for name in ("gateway", "interactive", "bulk", "searcher", "maintenance", "training", "valkey"):
        [pod] = _pods([base[name]])
        [container] = pod["containers"]
        argv, theirs = container.get("command", container.get("args")), made.services[name].argv
        if "-c" in argv and "celery" in argv:
            argv, theirs = list(argv), list(theirs)
            argv[argv.index("-c") + 1] = theirs[theirs.index("-c") + 1] = "N"
        assert argv == theirs
        if name != "valkey":
            assert set(made.services[name].secrets) == _secrets(pod)


def test_everything_is_forbidden_that_is_not_allowed() -> None:
    policies = [each.values[0] for each in RESOURCES if each.values[0]["kind"] == "NetworkPolicy"]
    [nothing] = [each for each in policies if each["metadata"]["name"] == "nothing"]

    assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_bulk_workers_follow_their_queues_and_interactive_ones_the_latency() -> None:
    scaled = {
        each.values[0]["metadata"]["name"]: each.values[0]["spec"]
        for each in RESOURCES
        if each.values[0]["kind"] == "ScaledObject"
    }
    lists = {trigger["metadata"].get("listName") for trigger in scaled["bulk"]["triggers"]}
    metrics = [
        trigger["metadata"]["query"] for trigger in scaled["interactive"]["triggers"] if trigger["type"] == "prometheus"
    ]

    assert lists == set(names.RANKED)
    assert len(metrics) == 1
    assert "colega_search_seconds_bucket" in metrics[0]
    asked = {trigger["metadata"].get("address") for one in scaled.values() for trigger in one["triggers"]} - {None}
    assert asked == {"valkey.colega:6379"}  # KEDA is in another namespace, where a service is known by its own, too.


def test_a_gpu_goes_to_those_who_compute_by_the_hundred() -> None:
    made = {
        each["metadata"]["name"]: each
        for each in _rendered(KUBERNETES / "overlays" / "gpu")
        if each["kind"] == "Deployment"
    }

    for name in ("bulk", "searcher", "training"):
        pod = made[name]["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
        assert pod["containers"][0]["image"].startswith("colega-gpu:")


def _validate(resource: Manifest, version: str) -> None:
    if resource["apiVersion"].startswith("keda.sh/"):
        jsonschema.Draft7Validator(KEDA[resource["kind"]]).validate(resource)
        return
    kubernetes_validate.validate(resource, version, strict=True)


def _pods(resources: list[Manifest]) -> Iterator[Manifest]:
    for each in resources:
        if each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            yield each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def _containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def _secrets(pod: Manifest) -> set[str]:
    [volume] = [each["secret"] for each in pod["volumes"] if each["name"] == "secrets"]
    return {item["key"] for item in volume["items"]}
