"""Containers without a container engine: each service of the compose file as plain processes on a host of its own.

A host has its own network (one cable to each network of the file), file system (read-only but for what the file mounts),
host name and process numbers; its processes run as the file's user with the file's capabilities. What an image brings is
stood in for by what is installed here: our own images by this repository and its virtual environment, the servers' by wheels.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from services.local.processes import Child, Program, end
from tests.integration.deploy import images
from tests.integration.deploy.composed import Composed, Service
from tests.waiting import eventually

WITHIN_S = 240.0
_NEW_VOLUMES = {
    "/data": ((10001, 10001), 0o700),
    "/tmp": ((0, 0), 0o1777),
    "/var/lib/postgresql": ((999, 999), 0o1777),
}
"""Who owns a new volume mounted there, and its mode, where the image says; else root."""
_WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # unshare is deaf to SIGTERM.
_HOLD = ["unshare", "--net", "sleep", "infinity"]
_PLAIN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_AS_INIT = """"$@" &
main=$!; trap "kill -TERM $main" TERM; wait $main; ended=$?
while kill -0 $main 2>/dev/null; do wait $main; ended=$?; done
exit $ended
"""
"""A shell that hands SIGTERM on and ends as its command does: what `init: true` or any entry point would be."""


def may() -> bool:
    """Whether this user may make hosts here."""
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("unshare", "nsenter", "setpriv", "ip", "mount")):
        return False
    tried = ["unshare", "-n", "-m", "-u", "-i", "-p", "-f", "sh", "-c", "mount -t tmpfs none /mnt && ip link set lo up"]
    return subprocess.run(tried, check=False, capture_output=True).returncode == 0


@dataclass(slots=True)
class Host:
    """One service: where it is, and its main process."""

    service: Service
    holder: Child
    container: Child | None = None
    starts: int = 0

    @property
    def init(self) -> int:
        """The number, here, of the first process in the container."""
        assert self.container is not None
        return _only_child(self.container.pid or 0)

    @property
    def main(self) -> int:
        """The number, here, of the process that the file's command became."""
        return _only_child(self.init)


@dataclass(slots=True)
class Hosts:
    """All services of a compose file. Use it as a context: at its end nothing is left of them but *folder*."""

    composed: Composed
    folder: Path
    hosts: dict[str, Host] = field(default_factory=dict)
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)
    """By network, by name."""
    _others: list[Child] = field(default_factory=list)

    def __enter__(self) -> Self:
        try:
            self._cable()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """End all processes: those of containers first, all together."""
        end([host.container for host in reversed(self.hosts.values()) if host.container is not None])
        for child in [*self._others, *(host.holder for host in self.hosts.values())]:
            child.kill()

    def start(self) -> None:
        """Start every service as soon as all that it waits for holds; return when each is healthy, or has run to its end."""
        waiting = dict(self.composed.services)
        held = set[tuple[str, str]]()

        def all_started() -> bool:
            self.tend()
            for name, service in list(waiting.items()):
                wanted = [each for each in service.waits_for.items() if each not in held]
                held.update(each for each in wanted if self.holds(*each))
                if held.issuperset(wanted):
                    self.run(self.hosts[waiting.pop(name).name])
            return not waiting

        eventually(all_started, within_s=WITHIN_S)
        for service in self.composed.services.values():
            condition = "service_completed_successfully" if service.is_step else "service_healthy"
            self.wait(service.name, condition)

    def run(self, host: Host) -> None:
        """Start its container, once more if it has run before."""
        script = _container(host.service, self.folder, self._mounts(host.service), images.argv(host.service))
        network = f"--net=/proc/{host.holder.pid}/ns/net"
        apart = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=SIGKILL"]
        program = Program(
            host.service.name, [*_WITH_US, "nsenter", network, *apart, "sh", "-c", script], _PLAIN, end_within_s=0.2
        )
        host.container = Child(program, self.folder / "logs")
        host.container.start()
        host.starts += 1

    def tend(self) -> None:
        """Start again what has ended, as its restart policy says."""
        for host in self.hosts.values():
            if (
                host.container is not None
                and not host.container.is_running
                and host.service.restart == "unless-stopped"
            ):
                assert host.starts < 5, host.container.last_words()
                self.run(host)

    def wait(self, name: str, condition: str) -> None:
        """Wait until *condition* holds of the service *name*."""

        def holds() -> bool:
            self.tend()
            return self.holds(name, condition)

        eventually(holds, within_s=WITHIN_S)

    def holds(self, name: str, condition: str) -> bool:
        """Whether *condition* holds of the service *name*, as the file's ``depends_on`` means it."""
        host = self.hosts[name]
        if host.container is None:
            return False
        if condition == "service_completed_successfully":
            assert host.container.exit_status in {None, 0}, host.container.last_words()
            return host.container.exit_status == 0
        return host.container.is_running and (host.service.health is None or self.is_healthy(host))

    def is_healthy(self, host: Host) -> bool:
        """What the health check of the file says now."""
        assert host.service.health is not None
        return host.main != 0 and self.inside(host, *host.service.health).returncode == 0

    def inside(self, host: Host, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run something in a running container, as its user."""
        into = ["nsenter", "-t", str(host.init), "-m", "-n", "-u", "-i", "-p", "-r", *_as_user(host.service)]
        command = [*into, "env", "-i", *_pairs(images.environment(host.service)), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=_PLAIN)

    def publish(self) -> None:
        """Open the ports that the file publishes on this machine."""
        for host in self.hosts.values():
            for address, ours, theirs in host.service.ports:
                script = str(Path(__file__).with_name("forwarder.py"))
                argv = [sys.executable, script, address, str(ours), str(host.holder.pid), str(theirs)]
                self._hold(f"port-{ours}", argv)

    def _cable(self) -> None:
        """Make the networks, and a host with a cable into each of its own for every service."""
        switch = self._hold("switch", _HOLD)
        networks = sorted({network for service in self.composed.services.values() for network in service.networks})
        lines = [f"link add {_bridge(networks, n)} type bridge\nlink set {_bridge(networks, n)} up" for n in networks]
        for number, service in enumerate(self.composed.services.values(), start=2):
            holder = Child(Program(f"host-{service.name}", _HOLD, _PLAIN), self.folder / "logs")
            holder.start()
            self.hosts[service.name] = Host(service, holder)
            _until_apart(holder.pid or 0)
            own = ["link set lo up"]
            for at, network in enumerate(service.networks):
                address = f"10.77.{networks.index(network)}.{number}"
                for name in (service.name, *service.networks[network]):
                    self.addresses.setdefault(network, {})[name] = address
                cable = f"v{number}-{at}"
                lines.append(f"link add {cable} type veth peer name eth{at} netns {holder.pid}")
                lines.append(f"link set {cable} master {_bridge(networks, network)} up")
                own += [f"address add {address}/24 dev eth{at}", f"link set eth{at} up"]
            _ip(switch.pid or 0, lines)
            _ip(holder.pid or 0, own)
            lines = []
        for service in self.composed.services.values():
            names = [f"{ip} {name}\n" for n in service.networks for name, ip in self.addresses[n].items()]
            (self.folder / f"hosts-{service.name}").write_text("127.0.0.1 localhost\n" + "".join(names), "utf-8")
            user, group = service.user
            known = {
                "passwd": f"root:x:0:0::/root:/bin/sh\nimage:x:{user}:{group}::/tmp:/bin/sh\n",
                "group": f"root:x:0:\nimage:x:{group}:\n",
            }
            for file, text in known.items():
                (self.folder / f"{file}-{service.name}").write_text(text, "utf-8")

    def _hold(self, name: str, argv: list[str]) -> Child:
        child = Child(Program(name, argv, _PLAIN), self.folder / "logs")
        child.start()
        self._others.append(child)
        if argv is _HOLD:
            _until_apart(child.pid or 0)
        return child

    def _mounts(self, service: Service) -> list[tuple[Path, str, bool]]:
        """What is seen where in the container, and whether it may be written."""
        mounts = [
            (self.folder / f"{file}-{service.name}", f"/etc/{file}", False) for file in ("hosts", "passwd", "group")
        ]
        mounts += [(self.composed.secrets[name].resolve(), f"/run/secrets/{name}", False) for name in service.secrets]
        for name, target in service.volumes:
            if name.startswith("."):
                mounts.append(((self.composed.folder / name).resolve(), target, False))
            else:
                mounts.append((_volume(self.folder / "volumes" / name, target), target, True))
        return mounts + [(path, target, False) for path, target in images.seen(service, self.folder)]


def _container(service: Service, folder: Path, mounts: Iterable[tuple[Path, str, bool]], argv: list[str]) -> str:
    """The shell script that makes the container's root and becomes its command."""
    root = folder / "roots" / service.name
    root.mkdir(parents=True, exist_ok=True)
    lines = ["set -eu; umask 022", "mount --make-rprivate /", f"mount -t tmpfs -o mode=755 image {root}", f"cd {root}"]
    for path in ("/usr", "/etc"):
        lines += [f"mkdir .{path}; mount --bind {path} .{path}"]
    for path in ("/bin", "/sbin", "/lib", "/lib64"):
        is_link = Path(path).is_symlink()
        lines += [
            f"cp -P {path} .{path}"
            if is_link
            else f"[ ! -d {path} ] || {{ mkdir .{path}; mount --bind {path} .{path}; }}"
        ]
    lines += [
        "mkdir proc dev tmp; mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs -o mode=1777 shm dev/shm"
    ]
    for target, options in service.tmpfs:
        lines.append(f"mkdir -p .{target}; mount -t tmpfs -o {options or 'mode=1777'} tmpfs .{target}")
    for source, target, writable in mounts:
        at, of = shlex.quote(f".{target}"), shlex.quote(str(source))
        make = f"mkdir -p {at}" if source.is_dir() else f"mkdir -p $(dirname {at}); [ -e {at} ] || : >{at}"
        lines.append(f"{make}; mount --bind {of} {at}" + ("" if writable else f"; mount -o remount,bind,ro {at}"))
    if service.read_only:
        lines.append(f"mount -o remount,bind,ro ./usr; mount -o remount,bind,ro ./etc; mount -o remount,ro {root}")
    where = service.working_dir or ("/data" if any(target == "/data" for _, target in service.volumes) else "/")
    inner = ["sh", "-c", f"cd {where}; {_AS_INIT}", "init", *argv]
    lines.append(f"hostname {service.name}")
    command = ["env", "-i", *_pairs(images.environment(service)), *_as_user(service), *inner]
    lines.append(f"exec chroot {root} {shlex.join(command)}")
    return "\n".join(lines)


def _as_user(service: Service) -> list[str]:
    """As the file's user; it ends with its parent, which a change of user makes the kernel forget."""
    user, group = service.user
    bounds = ",".join(["-all", *(f"+{each.lower()}" for each in service.capabilities)])
    return [
        "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs",
        f"--bounding-set={bounds}", "--inh-caps=-all", "--pdeathsig=KILL",
    ]  # fmt: skip


def _volume(path: Path, target: str) -> Path:
    if not path.exists():
        (user, group), mode = _NEW_VOLUMES.get(target, ((0, 0), 0o755))
        path.mkdir(parents=True)
        os.chown(path, user, group)
        path.chmod(mode)
    return path


def _pairs(environment: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]


def _bridge(networks: list[str], network: str) -> str:
    return f"net{networks.index(network)}"


def _ip(pid: int, lines: list[str]) -> None:
    entered = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"]
    subprocess.run(entered, input="\n".join(lines) + "\n", text=True, check=True, env=_PLAIN, capture_output=True)


def _until_apart(pid: int) -> None:
    """Wait until a process has moved into a network of its own."""
    eventually(lambda: _network(pid) != _network("self"))


def _network(pid: int | str) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _only_child(pid: int) -> int:
    """The number of the one process that *pid* has started; 0: none yet."""
    try:
        [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except (OSError, ValueError):
        return 0
    return int(child)
