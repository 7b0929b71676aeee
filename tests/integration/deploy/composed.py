"""docker-compose.yml as it is read by docker compose: interpolated, merged, and cut down to the profiles in use."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[3]
FILE = "docker-compose.yml"

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<what>[^}]*))?\})")


class Refused(Exception):
    """A variable that must be set is not; what the file says about it."""


@dataclass(frozen=True, slots=True)
class Service:
    """One container, as the file has it."""

    name: str
    image: str
    argv: list[str]
    """Entry point, where the file names one, and command."""
    user: tuple[int, int]
    environment: dict[str, str]
    secrets: list[str]
    volumes: list[tuple[str, str]]
    """Name of a volume or a path in the repository; where it is mounted."""
    tmpfs: list[tuple[str, str]]
    """Where; with which options."""
    networks: dict[str, list[str]]
    """By network: further names that the container has there."""
    ports: list[tuple[str, int, int]]
    """Address and port of the machine; port of the container."""
    restart: str
    read_only: bool
    capabilities: list[str]
    working_dir: str | None
    health: list[str] | None
    """What is run in the container to see that it works."""
    waits_for: dict[str, str]
    """By service: what must hold of it before this one starts."""
    profiles: list[str] = field(default_factory=list)

    @property
    def is_step(self) -> bool:
        """Whether it runs to its end and stays away."""
        return self.restart == "no"


@dataclass(frozen=True, slots=True)
class Composed:
    """The whole file."""

    folder: Path
    document: dict[str, Any]
    services: dict[str, Service]
    secrets: dict[str, Path]

    @classmethod
    def read(cls, folder: Path) -> "Composed":
        """The file in *folder* with its ``.env``, cut down to the profiles that are named there.

        Raises:
            Refused: Something is not set that must be.
        """
        variables = {name: value or "" for name, value in dotenv_values(folder / ".env").items()}
        document = interpolated(yaml.safe_load((folder / FILE).read_text("utf-8")), variables)
        assert isinstance(document, dict)
        chosen = set(variables.get("COMPOSE_PROFILES", "").split(","))
        services = {name: _service(name, given, folder) for name, given in document["services"].items()}
        wanted = {n: s for n, s in services.items() if not s.profiles or chosen & set(s.profiles)}
        secrets = {name: folder / given["file"] for name, given in document["secrets"].items()}
        return cls(folder, document, wanted, secrets)


def made_ready(folder: Path, profiles: str, **variables: str) -> Composed:
    """A copy of what is deployed in *folder*, made ready as the documentation says, with *variables* changed in ``.env``."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / FILE, folder / FILE)
    shutil.copytree(ROOT / "infra" / "compose", folder / "infra" / "compose", ignore=shutil.ignore_patterns("secrets"))
    make_env = folder / "infra" / "compose" / "make-env"
    subprocess.run([make_env, "--profiles", profiles], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})
    with (folder / ".env").open("a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in variables.items())
    return Composed.read(folder)


def interpolated(value: object, variables: Mapping[str, str]) -> Any:
    """*value* with every ``${NAME}`` in it replaced.

    Raises:
        Refused: One is missing that must be set.
    """
    if isinstance(value, dict):
        return {key: interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, variables) for each in value]
    return _VARIABLE.sub(lambda found: _value(found, variables), value) if isinstance(value, str) else value


def image_environment(dockerfile: Path) -> dict[str, str]:
    """What ``ENV`` sets in the last stage of *dockerfile*."""
    last = re.split(r"^FROM .*$", dockerfile.read_text("utf-8"), flags=re.MULTILINE)[-1].replace("\\\n", " ")
    lines = [line.removeprefix("ENV ") for line in last.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def _value(found: "re.Match[str]", variables: Mapping[str, str]) -> str:
    name, how, what = found["name"], found["how"], found["what"]
    if name is None:
        return "$"
    if value := variables.get(name):
        return value
    if how == ":?":
        raise Refused(what)
    return what or ""


def _service(name: str, given: Mapping[str, Any], folder: Path) -> Service:
    user, _, group = str(given["user"]).partition(":")
    networks = given.get("networks") or {}
    if isinstance(networks, list):
        networks = dict.fromkeys(networks)
    if given.get("network_mode") == "none":
        networks = {}
    own: dict[str, str] = {}
    for path in given.get("env_file", []):
        own |= {key: value or "" for key, value in dotenv_values(folder / path).items()}
    settings = {key: str(value) for key, value in (given.get("environment") or {}).items()}
    return Service(
        name=name,
        image=given["image"],
        argv=[*_words(given.get("entrypoint")), *_words(given.get("command"))],
        user=(int(user), int(group)),
        environment=own | settings,
        secrets=list(given.get("secrets", [])),
        volumes=[_volume(each, name) for each in given.get("volumes", [])],
        tmpfs=[_tmpfs(each) for each in given.get("tmpfs", [])],
        networks={network: list((more or {}).get("aliases", [])) for network, more in networks.items()},
        ports=[_port(each) for each in given.get("ports", [])],
        restart=str(given["restart"]),
        read_only=bool(given.get("read_only")),
        capabilities=list(given.get("cap_add", [])),
        working_dir=given.get("working_dir"),
        health=_check(given["healthcheck"]["test"]) if "healthcheck" in given else None,
        waits_for={other: how["condition"] for other, how in (given.get("depends_on") or {}).items()},
        profiles=list(given.get("profiles", [])),
    )


def _words(given: Sequence[str] | None) -> list[str]:
    assert not isinstance(given, str), "A command is a list: nobody has to guess how it is split."
    return list(given or [])


def _volume(given: str, service: str) -> tuple[str, str]:
    """One without a name is of the one container."""
    source, _, rest = given.partition(":")
    return (source, rest.partition(":")[0]) if rest else (f"{service}{source.replace('/', '-')}", source)


def _tmpfs(given: str) -> tuple[str, str]:
    path, _, options = given.partition(":")
    return path, options


def _port(given: str) -> tuple[str, int, int]:
    address, ours, theirs = given.split(":")
    return address, int(ours), int(theirs)


def _check(test: Sequence[str]) -> list[str]:
    kind, *words = test
    assert kind in {"CMD", "CMD-SHELL"}
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words
