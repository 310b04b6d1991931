"""``python -m deploy.traces --port 4318 --store build/traces.db``: the trace page of this machine.

It is for whoever sits at the machine: a node that several people look after sends its traces to a collector of their
own.
"""

import argparse
import ipaddress
import signal
import socket
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import uvicorn

from deploy.traces.app import build
from deploy.traces.store import LONGEST, MOST_SPANS, Store
from shared.clock import Clock
from shared.telemetry import logs


class NotLoopbackError(Exception):
    """The address is not one of this machine alone."""

    code = "not-loopback"


class PortTakenError(Exception):
    """Another program listens there."""

    code = "port-taken"


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on loopback, and refuse to listen anywhere else.

    Raises:
        NotLoopbackError: ``host`` is not a numeric loopback address.
        PortTakenError: another program has the port.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise NotLoopbackError from None
    if not address.is_loopback:
        raise NotLoopbackError
    listening = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)  # noqa: PLR2004  # IPv6
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise PortTakenError from None
    listening.listen(128)
    return listening


def main(arguments: list[str] | None = None) -> int:
    """Run until it is told to stop; return the exit code of the process."""
    asked = _parser().parse_args(arguments)
    try:
        listening = listen(asked.host, asked.port)
    except NotLoopbackError:
        return _sorry("The trace page listens on this machine alone: give 127.0.0.1 or ::1 as --host.")
    except PortTakenError:
        return _sorry(f"Port {asked.port} is taken by another program: give another one as --port.")
    clock = Clock()
    try:
        asked.store.parent.mkdir(parents=True, exist_ok=True)
        store = Store(asked.store, most_spans=asked.spans, longest=timedelta(days=asked.days), clock=clock)
    except (OSError, sqlite3.Error):
        listening.close()
        return _sorry(f"{asked.store} cannot be used to keep spans: remove it, or give another file as --store.")
    logs.configure()
    server = uvicorn.Server(
        uvicorn.Config(
            build(store, clock),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    port = listening.getsockname()[1]
    print(f"http://{'[::1]' if ':' in asked.host else asked.host}:{port}/", flush=True)  # noqa: T201  # for whoever started it
    for signum in (signal.SIGINT, signal.SIGTERM):  # uvicorn takes them while it serves, and raises them again after
        signal.signal(signum, lambda *_: sys.exit(0))
    server.run(sockets=[listening])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.traces", description="The trace page of this machine.")
    parser.add_argument("--port", type=int, required=True, help="where to listen; 0 picks a free one")
    parser.add_argument("--store", type=Path, required=True, help="the file that keeps the spans")
    parser.add_argument("--host", default="127.0.0.1", help="127.0.0.1 or ::1")
    parser.add_argument("--spans", type=int, default=MOST_SPANS, help="how many spans to keep")
    parser.add_argument("--days", type=float, default=LONGEST.days, help="how long to keep them")
    return parser


def _sorry(sentence: str) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201  # for whoever started it
    return 2


if __name__ == "__main__":
    sys.exit(main())
