"""Attempts to sign in that failed, by address: whoever guesses is slowed down. Kept in this process and nowhere else."""

import ipaddress
import time
from collections import OrderedDict, deque
from threading import Lock


class Attempts:
    """So many failures an address within a while; then it has to wait. Safe to share between threads.

    A key has 256 random bits and is not to be guessed anyway; this keeps a guesser from costing much.

    Args:
        most: Failures that are borne.
        within_s: In how long.
        addresses: The most that are remembered; the oldest go first.
    """

    def __init__(self, *, most: int = 20, within_s: float = 60.0, addresses: int = 10_000) -> None:
        self._most, self._within_s, self._addresses = most, within_s, addresses
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait_s(self, address: str | None) -> int:
        """How many seconds *address* has to wait before its next attempt; 0: none."""
        with self._lock:
            times = self._recent(_place(address))
            return 0 if len(times) < self._most else max(int(times[0] + self._within_s - time.monotonic()) + 1, 1)

    def failed(self, address: str | None) -> None:
        """Note that an attempt of *address* has failed."""
        place = _place(address)
        with self._lock:
            times = self._recent(place)
            times.append(time.monotonic())
            self._failed[place] = times
            self._failed.move_to_end(place)
            while len(self._failed) > self._addresses:
                self._failed.popitem(last=False)

    def _recent(self, place: str) -> deque[float]:
        times = self._failed.get(place, deque(maxlen=self._most))
        oldest = time.monotonic() - self._within_s
        while times and times[0] < oldest:
            times.popleft()
        return times


def _place(address: str | None) -> str:
    """An address; of IPv6 its network of 64 bits, all of which one host may use."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network(f"{found}/64", strict=False))
    return str(found)
