"""How fast callers may go: a token bucket for each, in memory, forgotten when it is full again.

It keeps a flood from one side from filling our disk or wearing out our staff. It is no accounting: another process has
buckets of its own, and a restart fills them all.

What must never happen: the buckets grow without limit; a caller that waits as long as it is told is refused again for
what it did itself; a flood from a few networks closes the door to all others.
"""

from collections import OrderedDict
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from shared.values import dataclass

ROUNDING = 1e-6

EVERYBODY: Final = ""
"""The one caller of what is counted for all together."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, and so many a second in the long run."""

    burst: int
    a_second: float


class Pace:
    """Counts what callers do, by whatever names them."""

    def __init__(self, limit: Limit, *, most_callers: int = 10_000) -> None:
        """Allow each caller ``limit``; of more than ``most_callers`` the one that was quiet longest is forgotten."""
        self._limit = limit
        self._most = most_callers
        self._buckets: OrderedDict[str, tuple[float, datetime]] = OrderedDict()

    def wait(self, caller: str, at: datetime) -> int:
        """Count one more for ``caller`` at ``at`` and return 0; or count nothing and return the seconds to wait."""
        seconds = self.look(caller, at)
        if not seconds:
            self._buckets[caller] = (self._tokens(caller, at) - 1, at)
            self._buckets.move_to_end(caller)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        return seconds

    def look(self, caller: str, at: datetime) -> int:
        """Return how many seconds ``caller`` would have to wait at ``at``, and count nothing."""
        tokens = self._tokens(caller, at)
        return 0 if tokens >= 1 - ROUNDING else max(1, -int(-(1 - tokens) // self._limit.a_second))

    def _tokens(self, caller: str, at: datetime) -> float:
        """Return how many more ``caller`` may do at ``at``: all, where the clock has been put back since the last."""
        full = float(self._limit.burst)
        tokens, since = self._buckets.get(caller, (full, at))
        return full if since > at else min(full, tokens + (at - since).total_seconds() * self._limit.a_second)


class Ceiling:
    """What all callers together may do: one half for whoever comes first, the other for networks that come seldom.

    When the first half is used up, each network may still do a ``few`` things out of the second. Whoever has used it up
    soon has had these; to close the second half as well takes as many networks as it has room for.
    """

    def __init__(self, limit: Limit, *, few: Limit) -> None:
        """Allow ``limit`` in all, and ``few`` to each network when the first half of it is used up."""
        half = Limit(max(1, limit.burst // 2), limit.a_second / 2)
        self._anybody, self._seldom = Pace(half), Pace(half)
        self._few = Pace(few)

    def wait(self, network: str, at: datetime) -> int:
        """Count one more from ``network`` at ``at`` and return 0; or count nothing and return the seconds to wait."""
        seconds = self._anybody.wait(EVERYBODY, at)
        if not seconds:
            return 0
        kept = max(self._few.look(network, at), self._seldom.look(EVERYBODY, at))
        if not kept:
            self._few.wait(network, at)
            self._seldom.wait(EVERYBODY, at)
        return min(seconds, kept)


def caller_at(host: str) -> str:
    """Return who counts as one caller: an IPv4 address, or the /64 of an IPv6 address, all of which one line has.

    RFC 6177: a home gets at least a /64, so that whoever changes the second half of an address is nobody new.
    """
    return _around(host, 32, 64)


def network_at(host: str) -> str:
    """Return whose network the address is in: its /24, or its /48; routers of the internet take no smaller ones.

    A line may have many a /64, and a machine some neighbouring addresses; many networks cost more.
    """
    return _around(host, 24, 48)


def _around(host: str, of_ipv4: int, of_ipv6: int) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    address = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), of_ipv6), strict=False))
    return str(IPv4Network((int(address), of_ipv4), strict=False))
