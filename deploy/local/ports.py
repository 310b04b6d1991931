"""Free ports on the loopback interface for servers that are ours alone.

A port is never a standard one, so that a private server is never taken for the machine's own. It also lies outside
the range from which the kernel picks the near end of outgoing connections: a client that keeps calling a server that
is down, on a port of that range, in the end reaches itself and holds the port for ever.
"""

import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.local.errors import LocalCode, LocalError

LOOPBACK: Final = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 65_000
LINUX_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL = range(32_768, 61_000)
STANDARD: Final = frozenset({25_672, 35_197})
"""Ports of that span that RabbitMQ and its tools take when nobody tells them otherwise."""
ATTEMPTS = 200


def ephemeral_ports() -> range:
    """Return the ports that the kernel gives to outgoing connections."""
    with suppress(OSError, ValueError):
        first, last = (int(number) for number in LINUX_EPHEMERAL.read_text(encoding="ascii").split())
        return range(first, last + 1)
    return USUAL_EPHEMERAL


def is_free(port: int) -> bool:
    """Say whether a server could listen on ``port`` of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Return ``count`` different ports that were free a moment ago; another program may take one before it is used.

    Raises:
        LocalError: ``port-taken`` when none can be found.
    """
    kept = ephemeral_ports()
    span = [port for port in range(LOWEST, HIGHEST) if port not in kept and port not in STANDARD] or list(kept)
    found: list[int] = []
    for port in random.sample(span, min(ATTEMPTS, len(span))):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise LocalError(LocalCode.PORT_TAKEN, f"no {count} free ports on {LOOPBACK}; stop what holds them")


def require_free(*needed: int) -> None:
    """Return if a server could listen on all of the ports ``needed`` now.

    Raises:
        LocalError: ``port-taken`` with the first that another program holds.
    """
    for port in needed:
        if not is_free(port):
            raise LocalError(LocalCode.PORT_TAKEN, f"port {port} on {LOOPBACK} is taken; stop what holds it")
