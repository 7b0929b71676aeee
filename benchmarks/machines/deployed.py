"""Machines: the services of the compose file, each on a host of its own (a network namespace with a cable), with its CPU counted."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from services.catalog.engine import Catalog
from services.local import ports, processes
from tests.integration.deploy import composed, hosts
from tests.integration.deploy.composed import Composed, Service
from tests.integration.deploy.hosts import Hosts

PROFILES = "seaweedfs,cpu,faiss"
PUBLISHED = {"gateway": 8000, "postgres": 5432, "valkey": 6379}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Machines:
    """Hosts with what is asked of them here. All ports are those of forwarders on this machine, which take no part in what is measured."""

    hosts: Hosts
    ports: dict[str, int]

    def run(self, *names: str) -> None:
        """Start these services, one after the other, each when the one before is healthy, or has run to its end."""
        for name in names:
            host = self.hosts.hosts[name]
            self.hosts.run(host)
            self.hosts.wait(name, "service_completed_successfully" if host.service.is_step else "service_healthy")

    def end(self, *names: str) -> None:
        """End these services; their hosts stay."""
        ended = [host for name in names if (host := self.hosts.hosts[name]).container is not None]
        processes.end([host.container for host in ended if host.container is not None])
        for host in ended:
            host.container = None

    def secret(self, name: str) -> str:
        """What the services were given as *name*."""
        return self.hosts.composed.secrets[name].read_text("utf-8").strip()

    def catalog(self) -> Catalog:
        """The catalog, read from here."""
        url = self.secret("catalog_url").replace("@postgres:5432", f"@127.0.0.1:{self.ports['postgres']}")
        return Catalog(url, busy_s=60.0)

    def broker_url(self) -> str:
        """The broker, from here."""
        return self.secret("broker_url").replace("@valkey:6379", f"@127.0.0.1:{self.ports['valkey']}")

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds that all processes of each host have used so far, those that have ended and were waited for included."""
        networks = {_network(host.holder.pid): name for name, host in self.hosts.hosts.items()}
        used = dict.fromkeys(networks.values(), 0.0)
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and (name := networks.get(_network(int(path.name)))) is not None:
                used[name] += _cpu_s(path)
        return used


@contextmanager
def machines(change: Callable[[dict[str, Service]], dict[str, Service]]) -> Iterator[Machines]:
    """The services of the compose file as *change* leaves them, on hosts of their own, none of them running yet.

    PostgreSQL syncs, as it does outside of tests. At the end nothing is left.
    """
    if not hosts.may():
        raise SystemExit(
            "Only root, where it may make namespaces (unshare, nsenter, setpriv, ip, mount), can make machines."
        )
    free = ports.choose(list(PUBLISHED), {})
    with tempfile.TemporaryDirectory(prefix="colega-machines-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        read = composed.made_ready(folder, PROFILES, DEPLOY_BULK_PROCESSES="1")
        services = {
            name: replace(service, ports=[("127.0.0.1", free[name], PUBLISHED[name])] if name in PUBLISHED else [])
            for name, service in change(read.services).items()
        }
        postgres = services["postgres"]
        services["postgres"] = replace(postgres, argv=[*postgres.argv, "-c", "fsync=on"])
        with Hosts(Composed(read.folder, read.document, services, read.secrets), folder) as made:
            made.publish()
            yield Machines(made, free)


def used(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds by part between two counts; workers of a kind are summed up."""
    parts: dict[str, float] = {}
    for name, seconds in after.items():
        part = name.rstrip("0123456789").rstrip("-")
        parts[part] = parts.get(part, 0.0) + seconds - before.get(name, 0.0)
    return parts


def _network(pid: int | None) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _cpu_s(process: Path) -> float:
    try:
        fields = (process / "stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[n]) for n in (11, 12, 13, 14)) / _TICKS
