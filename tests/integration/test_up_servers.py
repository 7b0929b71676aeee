"""The servers that ``colega up`` brings: what they refuse, where they listen, and what they keep."""

import http.client
from pathlib import Path

import pytest
import redis
from minio import Minio
from minio.error import S3Error

from services.local import ports, seaweedfs
from services.local import valkey as broker
from services.local.instance import Instance
from services.local.processes import Child, end, wait_ready
from services.photos.store import PhotoStore
from tests.stack import Stack

KEY = "photos/1/pho_1"


def _status(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_door_of_the_store_opens_without_a_key(servers: Stack, photo_store: PhotoStore, method: str) -> None:
    """Neither S3 itself nor the inner ports, which any local user can reach."""
    photo_store.put(KEY, b"photo")
    inner = f"/buckets/{seaweedfs.BUCKET}/{KEY}"

    assert _status(servers.instance.ports[seaweedfs.S3], method, f"/{seaweedfs.BUCKET}/{KEY}") == 403
    assert _status(servers.instance.ports[seaweedfs.FILER], method, inner) == 401

    assert photo_store.get(KEY) == b"photo"


def test_no_call_deletes_a_bucket_with_photos(servers: Stack, photo_store: PhotoStore) -> None:
    """Nor makes one by the way."""
    photo_store.put(KEY, b"photo")
    address = seaweedfs.endpoint(servers.instance.ports).removeprefix("http://")
    access_key, secret_key = seaweedfs.keys(servers.instance)
    client = Minio(address, access_key=access_key, secret_key=secret_key, secure=False, region="us-east-1")

    with pytest.raises(S3Error, match="BucketNotEmpty"):
        client.remove_bucket(seaweedfs.BUCKET)
    other = PhotoStore(seaweedfs.endpoint(servers.instance.ports), "another", access_key, secret_key)
    with pytest.raises(Exception, match="no such bucket"):
        other.put(KEY, b"photo")

    assert photo_store.get(KEY) == b"photo"


def test_servers_listen_on_this_machine_alone(servers: Stack, photo_store: PhotoStore, valkey: str) -> None:
    """On each port that was chosen, and for gRPC above it, by the kernel's own list."""
    del photo_store, valkey
    listening = {}
    for line in Path("/proc/net/tcp").read_text(encoding="utf-8").splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(":")
        if fields[3] == "0A":
            listening[int(port, 16)] = address
    for name, chosen in servers.instance.ports.items():
        numbers = [chosen] if name == "broker" else [chosen, chosen + ports.GRPC_OFFSET]
        assert [listening[number] for number in numbers] == ["0100007F"] * len(numbers), name


def test_the_broker_wants_its_password_and_writes_nothing(servers: Stack, valkey: str) -> None:
    """A query photo never reaches a disk, not even when the server ends."""
    with redis.Redis.from_url(valkey) as connection:
        connection.set("photo", b"photo")
        assert connection.config_get("save")["save"] == ""
        assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert int(connection.config_get("maxmemory")["maxmemory"]) > 0
    assert not broker.answers(servers.instance.ports[broker.PORT], "not the password")

    child = servers.children["broker"]
    end([child])
    assert [path.name for path in (servers.folder / "broker").iterdir()] == ["valkey.conf"]
    assert (servers.folder / "broker" / "valkey.conf").stat().st_mode & 0o777 == 0o600
    child.start()
    wait_ready([child])


def test_photos_are_found_again_on_other_ports_and_fsync_stays_on(tmp_path: Path) -> None:
    """Ports are chosen again when somebody has taken them; the keys and the photos stay."""
    instance = Instance(ports=ports.choose(seaweedfs.PORTS, {}))
    for moved in (False, True):
        if moved:
            instance.ports = ports.choose(seaweedfs.PORTS, {})
        child = Child(seaweedfs.program(tmp_path / "store", instance), tmp_path / "logs")
        child.start()
        try:
            wait_ready([child])
            seaweedfs.secure(tmp_path / "store", instance)
            store = seaweedfs.store(instance)
            if not moved:
                store.put(KEY, b"photo")
            assert store.get(KEY) == b"photo"
            assert '"fsync":  true' in seaweedfs._shell(tmp_path / "store", instance, "fs.configure")
        finally:
            end([child])
            seaweedfs.remove_sockets(instance.ports)


def test_the_broker_lives_in_a_folder_of_any_name(tmp_path: Path) -> None:
    """Its configuration file has a syntax of its own."""
    folder = tmp_path / 'a "folder"'
    port = ports.choose(["broker"], {})["broker"]
    child = Child(broker.program(folder, port, "p" * 48), tmp_path / "logs")
    child.start()
    wait_ready([child])

    assert broker.answers(port, "p" * 48)
    assert not broker.answers(port, "wrong")
    end([child])
