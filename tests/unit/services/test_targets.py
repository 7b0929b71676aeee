"""Where webhooks may go: never to metadata, and to private addresses only where that is allowed."""

import socket

import pytest

from services import targets
from services.errors import InvalidRequest
from services.targets import OffLimits, Server, Unresolved

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.31.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "::ffff:10.0.0.1",
]
PUBLIC = ["8.8.8.8", "2606:4700::1111"]


def _leading_to(*addresses: str) -> object:
    def resolved(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        del host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolved


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("private", [True, False])
def test_metadata_and_the_like_are_never_reached(monkeypatch: pytest.MonkeyPatch, address: str, private: bool) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _leading_to(address))

    with pytest.raises(OffLimits, match="webhooks never go"):
        targets.resolve("innocent.example", 80, private=private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_reached_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _leading_to(address))

    assert targets.resolve("innocent.example", 80, private=True) == [address]
    with pytest.raises(OffLimits, match="COLEGA_WEBHOOK_PRIVATE"):
        targets.resolve("innocent.example", 80, private=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _leading_to(address))

    assert targets.resolve("innocent.example", 80, private=False) == [address]


def test_of_several_addresses_only_the_allowed_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _leading_to("169.254.169.254", "8.8.8.8", "10.0.0.1", "8.8.8.8"))

    assert targets.resolve("innocent.example", 80, private=False) == ["8.8.8.8"]


def test_other_ways_to_write_an_address_lead_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    for written in ("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"):
        with pytest.raises((OffLimits, Unresolved)):
            targets.resolve(written, 80, private=True)


def test_a_name_that_leads_nowhere_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fails)

    with pytest.raises(Unresolved, match=r"nobody\.example leads nowhere"):
        targets.resolve("nobody.example", 80, private=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://example.com/",
        "file:///etc/passwd",
        "example.com/hook",
        "http://",
        "https://user:secret@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/" + "a" * 1024,
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
    ],
)
def test_what_is_no_address_for_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="url: "):
        targets.checked(url, private=True)


def test_addresses_are_kept_in_ascii() -> None:
    assert targets.checked(" https://bücher.example/ä?b=ö ", private=False) == (
        "https://xn--bcher-kva.example/%C3%A4?b=%C3%B6"
    )
    assert targets.checked("http://[::1]:8080/hook", private=True) == "http://[::1]:8080/hook"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_colegas_own_servers_are_never_reached(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    def resolved(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        where = "127.0.0.1" if host == "store" else address
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (where, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    ours = frozenset({Server("store", 9333)})

    with pytest.raises(OffLimits, match=r"own servers"):
        targets.resolve("innocent.example", 9333, private=True, ours=ours)
    assert targets.resolve("innocent.example", 9334, private=True, ours=ours) == [address]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://store:9333", Server("store", 9333)),
        ("https://s3.example.com", Server("s3.example.com", 443)),
        ("redis://:secret@valkey/0", Server("valkey", 6379)),
        ("postgresql+psycopg://colega:secret@postgres/colega", Server("postgres", 5432)),
        ("sqlite:////data/catalog.sqlite", None),
        ("", None),
    ],
)
def test_a_setting_says_where_a_server_is(url: str, server: Server | None) -> None:
    assert Server.of(url) == server
