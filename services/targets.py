"""Where webhooks may go: addresses as they are written, and the addresses that names lead to."""

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from services.errors import InvalidRequest

LONGEST_URL = 1024

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # Leads to this machine on Linux.
        "169.254.0.0/16",  # Link-local; the metadata of AWS, Google, Azure, Oracle and others.
        "100.100.100.200/32",  # The metadata of Alibaba Cloud.
        "168.63.129.16/32",  # What Azure's machines are managed by.
        "192.0.0.192/32",  # The metadata of Oracle Cloud, formerly.
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fd00:ec2::254/128",  # The metadata of AWS.
        "fd20:ce::254/128",  # The metadata of Google Cloud.
        "ff00::/8",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379, "postgresql": 5432}


class Server(NamedTuple):
    """One that colega itself works with: broker, catalog, photo store. Some of them trust their neighbours."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Server | None":
        """That of a setting; None where it names none that is connected to."""
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
        return cls(parts.hostname, port) if parts.hostname and port else None


class OffLimits(Exception):
    """An address leads to where webhooks may not go; the sentence says which."""


class Unresolved(Exception):
    """A name leads nowhere."""


def checked(url: str, *, private: bool) -> str:
    """*url* as it is kept: in ASCII, with a host, and not plainly to where webhooks may not go.

    What a name leads to is looked at when something is sent, for it may lead elsewhere by then.

    Raises:
        InvalidRequest: It is no such address.
    """
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidRequest(f"url: {error}.") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidRequest("url: give an address that begins with https:// or http:// and names a host.")
    if parsed.userinfo:
        raise InvalidRequest("url: put no name and password into it. What is sent is signed; see docs/webhooks.md.")
    if parsed.fragment:
        raise InvalidRequest("url: what follows # is never sent. Leave it out.")
    if (parsed.port is not None and not 0 < parsed.port < 65536) or len(str(parsed)) > LONGEST_URL:
        raise InvalidRequest(f"url: give a port from 1 to 65535, and at most {LONGEST_URL} characters.")
    try:
        require(ipaddress.ip_address(parsed.host.partition("%")[0]), parsed.host, private=private)
    except OffLimits as error:
        raise InvalidRequest(f"url: {error}") from None
    except ValueError:
        pass  # A name.
    return str(parsed)


def resolve(host: str, port: int, *, private: bool, ours: AbstractSet[Server] = frozenset()) -> Sequence[str]:
    """The addresses that *host* leads to now and that may be connected to, as the system prefers them; none of *ours*.

    Raises:
        OffLimits: It leads only to where webhooks may not go.
        Unresolved: It leads nowhere.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unresolved(
            f"The name {host} leads nowhere: see that it is right and that this machine's DNS knows it."
        ) from None
    own = _addresses(server for server in ours if server.port == port)
    allowed: list[str] = []
    refused: OffLimits | None = None
    for *_, place in found:
        written = str(place[0])
        address = ipaddress.ip_address(written.partition("%")[0])
        try:
            require(address, host, private=private)
        except OffLimits as error:
            refused = error
            continue
        reached = _plain(address)
        if reached in own or (reached.is_loopback and any(one.is_loopback for one in own)):
            refused = OffLimits(f"{host}:{port} is one of colega's own servers, where webhooks never go.")
        else:
            allowed.append(written)
    if not allowed:
        raise refused or Unresolved(f"The name {host} has no address.")
    return list(dict.fromkeys(allowed))


def require(address: _Address, host: str, *, private: bool) -> None:
    """See that a webhook may go to *address*, which *host* leads to.

    Raises:
        OffLimits: It may not.
    """
    reached = _plain(address)
    for one in (reached, *_within(reached)):
        if any(one in network for network in _NEVER):
            raise OffLimits(f"{host} is {one}, where webhooks never go: link-local, metadata, multicast and the like.")
    if not private and not all(one.is_global for one in (reached, *_within(reached))):
        raise OffLimits(
            f"{host} is {reached}, a private address, where webhooks go only with COLEGA_WEBHOOK_PRIVATE=true."
        )


def _addresses(servers: Iterable[Server]) -> set[_Address]:
    """Where they are now; of one whose name leads nowhere nothing is known."""
    found: set[_Address] = set()
    for server in servers:
        with contextlib.suppress(OSError, UnicodeError):
            places = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            found |= {_plain(ipaddress.ip_address(str(place[0]).partition("%")[0])) for *_, place in places}
    return found


def _plain(address: _Address) -> _Address:
    """An IPv4 address that is written as one of IPv6 is that."""
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def _within(address: _Address) -> Sequence[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
